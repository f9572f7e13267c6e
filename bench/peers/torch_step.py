"""The same training step, or the same evaluation, in PyTorch on the CPU.

Speaks with bench/peers.ts as lib/bench/worker.ts does: a job in, as JSON, `{"ready"}` out, then a line in, a step, a line out.
The model is GroupViT from the paper's description, written for speed: one projection for query, key and value,
scaled_dot_product_attention where this PyTorch has it, a fused AdamW where it has one. Texts are padded to the longest of the
batch; `padded`: to the context, as the reference does. `compile` asks for torch.compile
(TorchInductor's C++, which needs a compiler): what it compiles in its first step is compiled before it says that it is ready.
"""
import json
import math
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

job = json.loads(sys.stdin.readline())
torch.manual_seed(0)
torch.set_num_threads(job["threads"])
M, B = job["model"], job["batch"]


def attend(q, k, v, heads, causal=False):
    split = lambda t: t.view(t.shape[0], t.shape[1], heads, -1).transpose(1, 2)
    q, k, v = split(q), split(k), split(v)
    if hasattr(F, "scaled_dot_product_attention"):
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    else:
        logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if causal:
            n = q.shape[2]
            logits = logits + torch.full((n, n), -1e9).triu(1)
        y = logits.softmax(-1) @ v
    return y.transpose(1, 2).flatten(2)


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def mlp(c, hidden, out=None, activation=nn.GELU):
    return nn.Sequential(nn.Linear(c, hidden), activation(), nn.Linear(hidden, out or c))


class Block(nn.Module):
    def __init__(self, c, heads, ratio, activation=nn.GELU, causal=False):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.qkv, self.out = nn.Linear(c, 3 * c), nn.Linear(c, c)
        self.mlp = mlp(c, int(c * ratio), activation=activation)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.out(attend(q, k, v, self.heads, self.causal))
        return x + self.mlp(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, tokens, hidden, out):
        super().__init__()
        self.mlp = mlp(tokens, hidden, out)

    def forward(self, x):
        return self.mlp(x.transpose(1, 2)).transpose(1, 2)


class Grouping(nn.Module):
    def __init__(self, c, heads, groups, out, token_ratio, channel_ratio, ratio):
        super().__init__()
        self.heads, self.scale = heads, c**-0.5
        self.norms = nn.ModuleList(nn.LayerNorm(c) for _ in range(6))
        self.mixer = Mixer(groups, int(c * token_ratio), out)
        self.q, self.k, self.v, self.out = (nn.Linear(c, c) for _ in range(4))
        self.cross_mlp = mlp(c, int(c * ratio))
        self.aq, self.ak, self.av, self.aout = (nn.Linear(c, c) for _ in range(4))
        self.channels = mlp(c, int(c * channel_ratio))

    def forward(self, x, g, train):
        x, g = self.norms[0](x), self.norms[1](g)
        p = self.norms[2](self.mixer(g))
        p = p + self.out(attend(self.q(p), self.k(x), self.v(x), self.heads))
        p = self.norms[4](p + self.cross_mlp(self.norms[3](p)))
        logits = self.aq(p) @ self.ak(x).transpose(1, 2) * self.scale
        if train:
            logits = logits - torch.empty_like(logits).exponential_().log()
        soft = logits.softmax(1)
        hard = torch.zeros_like(soft).scatter_(1, soft.argmax(1, keepdim=True), 1.0)
        a = hard + soft - soft.detach()
        y = p + self.aout((a / (a.sum(-1, keepdim=True) + 1)) @ self.av(x))
        return y + self.channels(self.norms[5](y))


class ImageEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        c, p, heads, ratio = M["embedDim"], M["patchSize"], M["numHeads"], M["mlpRatio"]
        a = M["assignment"]
        n = (M["imageSize"] // p) ** 2
        self.patch = nn.Conv2d(3, c, p, p)
        self.norm, self.last = nn.LayerNorm(c), nn.LayerNorm(c)
        self.position = nn.Parameter(torch.zeros(1, n, c))
        self.stages = nn.ModuleList(nn.ModuleList(Block(c, heads, ratio) for _ in range(d)) for d in M["depths"])
        groups, outs = M["numGroupTokens"], M["numOutputGroups"]
        self.tokens = nn.ParameterList(nn.Parameter(torch.randn(1, g, c)) for g in groups)
        self.grouping = nn.ModuleList(
            Grouping(c, heads, g, o, a["tokenMlpRatio"], a["channelMlpRatio"], ratio) for g, o in zip(groups, outs)
        )
        self.between = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(c), Mixer(groups[i - 1], int(c * a["tokenMlpRatio"]), groups[i]))
            for i in range(1, len(groups))
        )

    def forward(self, images, train):
        x = self.norm(self.patch(images).flatten(2).transpose(1, 2)) + self.position
        before = None
        for i, blocks in enumerate(self.stages):
            n = x.shape[1]
            if i < len(self.grouping):
                g = self.tokens[i].expand(x.shape[0], -1, -1)
                if before is not None:
                    g = g + self.between[i - 1](before)
                x = torch.cat([x, g], 1)
            for block in blocks:
                x = block(x)
            if i < len(self.grouping):
                x, before = x[:, :n], x[:, n:]
                x = self.grouping[i](x, before, train)
        return self.last(x)


class TextEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        t = M["text"]
        self.table = nn.Embedding(t["vocabSize"], t["width"])
        self.position = nn.Parameter(torch.zeros(t["contextLength"], t["width"]))
        self.blocks = nn.ModuleList(Block(t["width"], t["numHeads"], 4, QuickGELU, True) for _ in range(t["depth"]))
        self.norm = nn.LayerNorm(t["width"])

    def forward(self, ids):
        x = self.table(ids) + self.position[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x[torch.arange(ids.shape[0]), ids.argmax(-1)])


def head(c):
    p = M["projection"]
    return nn.Sequential(nn.Linear(c, p["hiddenDim"]), nn.BatchNorm1d(p["hiddenDim"]), nn.ReLU(), nn.Linear(p["hiddenDim"], p["dim"]))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.text = ImageEncoder(), TextEncoder()
        self.image_head, self.text_head = head(M["embedDim"]), head(M["text"]["width"])
        self.scales = nn.Parameter(torch.full((2,), math.log(1 / 0.07)))

    def forward(self, images, ids):
        b = images.shape[0]
        segments = self.image(images, True)
        if M["projection"]["order"] == "project-first":
            z = self.image_head(segments.flatten(0, 1)).view(b, -1, M["projection"]["dim"]).mean(1)
        else:
            z = self.image_head(segments.mean(1))
        z = F.normalize(z, dim=-1)
        t = F.normalize(self.text_head(self.text(ids)), dim=-1).view(b, -1, z.shape[-1])
        scales = self.scales.exp().clamp(max=100)
        loss = both_ways(z @ t[:, 0].t() * scales[0], torch.eye(b))
        nouns = t[:, 1:].reshape(-1, z.shape[-1])
        own = torch.eye(b).repeat_interleave(t.shape[1] - 1, 1)
        return loss + both_ways(z @ nouns.t() * scales[1], own / (t.shape[1] - 1), own.t())


def both_ways(logits, targets, back=None):
    one = lambda x, t: -(t * x.log_softmax(-1)).sum(-1).mean()
    return (one(logits, targets) + one(logits.t(), targets.t() if back is None else back)) / 2


def training():
    model = Model().train()
    kinds = [[], []]
    for name, p in model.named_parameters():
        kinds[p.ndim == 1 or name.endswith("bias")].append(p)
    groups = [{"params": kinds[0], "weight_decay": 0.05}, {"params": kinds[1], "weight_decay": 0.0}]
    try:
        optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    except (TypeError, RuntimeError):
        optimizer = torch.optim.AdamW(groups, lr=1e-3)
    forward = torch.compile(model) if job.get("compile") else model
    images = torch.randn(B, 3, M["imageSize"], M["imageSize"])
    ids = torch.tensor(job["tokens"]).view(-1, M["text"]["contextLength"])
    if not job["padded"]:
        ids = ids[:, : int(ids.argmax(-1).max()) + 1].contiguous()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = forward(images, ids)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        assert math.isfinite(loss.item())

    return step


def evaluating():
    encoder, to_common = ImageEncoder().eval(), head(M["embedDim"]).eval()
    whole = lambda images: to_common(encoder(images, False).flatten(0, 1))
    forward = torch.compile(whole) if job.get("compile") else whole
    images = torch.randn(B, 3, M["imageSize"], M["imageSize"])

    def step():
        with torch.inference_mode():
            forward(images)

    return step


def say(message):
    print(json.dumps(message), flush=True)


if job.get("compile") and not hasattr(torch, "compile"):
    say({"failed": "PyTorch " + torch.__version__ + " has no torch.compile"})
    sys.exit(0)
step = training() if job["kind"] == "train" else evaluating()
if job.get("compile"):
    step()
say({"ready": "PyTorch " + torch.__version__})
for _ in sys.stdin:
    start, used = time.perf_counter(), time.process_time()
    step()
    say({"ms": (time.perf_counter() - start) * 1e3, "cpuMs": (time.process_time() - used) * 1e3})
say({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
