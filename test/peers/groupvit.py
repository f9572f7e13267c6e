"""Logits of a GroupViT folder by transformers: groupvit.py DIR BATCH SIDE LENGTH.

Reads DIR/pixels.f32 [B, 3, S, S] and DIR/ids.i64 [B, T], writes DIR/logits.f32 [B, B]."""
import sys

import numpy
import torch
from transformers import GroupViTModel

folder, batch, side, length = sys.argv[1], *map(int, sys.argv[2:5])
model = GroupViTModel.from_pretrained(folder).eval()
pixels = numpy.fromfile(f"{folder}/pixels.f32", "float32").reshape(batch, 3, side, side)
ids = numpy.fromfile(f"{folder}/ids.i64", "int64").reshape(batch, length)
with torch.no_grad():
    out = model(input_ids=torch.from_numpy(ids), pixel_values=torch.from_numpy(pixels))
out.logits_per_image.numpy().astype("float32").tofile(f"{folder}/logits.f32")
