import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configSchema, type ModelConfig } from '../../lib/config/schema.ts'
import { EXIT, UserError } from '../../lib/core/errors.ts'
import { readForeignModel, writeHfFolder } from '../../lib/model/hf-folder.ts'
import { downloadFromHub, isHubId } from '../../lib/model/hub.ts'
import { initParams } from '../../lib/model/index.ts'
import { startFrom } from '../../lib/model/start.ts'
import { readTorchFile } from '../../lib/model/torch-file.ts'
import { unpickle } from '../../lib/model/unpickle.ts'
import { openBackend } from '../../lib/tensor/index.ts'
import { readSafetensors, type StoredTensor, writeSafetensors } from '../../lib/tensor/safetensors.ts'
import { torchArchive, zip } from './torch-archive.ts'

const modelOf = (over: object = {}): ModelConfig =>
  configSchema.parse({
    model: {
      imageSize: 32,
      patchSize: 8,
      embedDim: 64,
      numHeads: 1,
      depth: 4,
      groupTokens: 5,
      segments: 3,
      text: { width: 64, depth: 2, numHeads: 1, contextLength: 10, vocabSize: 90 },
      projection: { dim: 12, hiddenDim: 20 },
      ...over,
    },
  }).model

const weightsOf = (model: ModelConfig): Map<string, StoredTensor> =>
  new Map(
    Object.entries(initParams(model, 1)).map(([name, tensor]) => [
      name,
      { dtype: 'F32', shape: [...tensor.shape], data: tensor.dataSync().slice() as Float32Array },
    ]),
  )

let dir: string
beforeAll(async () => {
  await openBackend({ backend: 'cpu', threads: 1 })
  dir = mkdtempSync(join(tmpdir(), 'gvx-foreign-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

const sameNumbers = (a: Map<string, StoredTensor>, b: Map<string, StoredTensor>) => {
  expect([...a.keys()].sort()).toEqual([...b.keys()].sort())
  for (const [name, { shape, data }] of a) {
    expect(b.get(name)!.shape, name).toEqual(shape)
    expect(Buffer.from(b.get(name)!.data.buffer).equals(Buffer.from(data.buffer)), name).toBe(true)
  }
}

describe('models of other code', () => {
  it('come back from a Hugging Face folder as they went, with the same architecture', () => {
    const model = modelOf({ assignment: { eps: 0.5 } })
    const weights = weightsOf(model)
    const files = writeHfFolder(join(dir, 'hf'), model, weights)
    expect(files).toEqual(['config.json', 'model.safetensors', 'preprocessor_config.json'])
    const back = readForeignModel(join(dir, 'hf'))
    sameNumbers(weights, back.weights)
    expect({ ...back.config.model, init: model.init, dropPathRate: model.dropPathRate }).toEqual(model)
    const stored = readSafetensors(readFileSync(join(dir, 'hf/model.safetensors')))
    expect(stored.get('visual_projection.1.num_batches_tracked')!.dtype).toBe('I64')
    expect(() => writeHfFolder(join(dir, 'hf'), model, weights)).toThrow(/not an empty folder/)
  })

  it('bring their tokenizer along when the vocabulary is that of CLIP', () => {
    const model = modelOf({ text: { width: 8, depth: 1, numHeads: 1, contextLength: 10 } })
    const files = writeHfFolder(join(dir, 'with-tokenizer'), model, weightsOf(model))
    expect(files).toContain('vocab.json')
    const vocabulary = JSON.parse(readFileSync(join(dir, 'with-tokenizer/vocab.json'), 'utf8'))
    expect(Object.keys(vocabulary)).toHaveLength(49408)
    expect([vocabulary['a</w>'], vocabulary['<|startoftext|>'], vocabulary['<|endoftext|>']]).toEqual([
      320, 49406, 49407,
    ])
    const merges = readFileSync(join(dir, 'with-tokenizer/merges.txt'), 'utf8').trimEnd().split('\n')
    expect(merges.slice(0, 2)).toEqual(['#version: 0.2', 'i n'])
  })

  it.each([
    [{ numGroupTokens: [6, 3], numOutputGroups: [5, 3], groupTokens: 6 }, /6 group tokens but 5 output groups/],
    [{ projection: { depth: 3, dim: 12, hiddenDim: 20 } }, /heads have 3 layers/],
    [{ projection: { dim: 12, hiddenDim: 20, order: 'project-first' } }, /projects its segments before/],
    [{ assignment: { mode: 'soft' } }, /assigns softly/],
    [{ assignment: { sum: true } }, /merges by the sum/],
    [{ widthFactors: [1, 2, 2] }, /stages have 64, 128, 128 channels/],
  ])('are refused with the reason where transformers cannot express them: %j', (over, why) => {
    const model = modelOf(over)
    expect(() => writeHfFolder(join(dir, 'never'), model, new Map())).toThrow(why)
  })

  it('are a start for another image size, with interpolated positions and a head of its own', () => {
    const weights = weightsOf(modelOf())
    const larger = modelOf({ imageSize: 64, projection: { dim: 16, hiddenDim: 20 } })
    const { params, fresh } = startFrom(larger, 5, weights, 'elsewhere')
    expect(fresh).toEqual([
      'visual_projection.3.weight',
      'visual_projection.3.bias',
      'text_projection.3.weight',
      'text_projection.3.bias',
    ])
    const name = 'vision_model.encoder.stages.0.layers.0.mlp.fc1.weight'
    expect(params[name].dataSync()).toEqual(weights.get(name)!.data)
    expect(params['vision_model.embeddings.position_embeddings'].shape).toEqual([1, 64, 64])
    expect(() => startFrom(larger, 5, new Map(), 'nothing')).toThrow(/no weight of nothing fits/)
  })

  it('are read off the shapes of a safetensors file', () => {
    const model = modelOf({ projection: { depth: 3, dim: 12, hiddenDim: 20 }, widthFactors: [1, 1.5, 2] })
    const weights = weightsOf(model)
    writeFileSync(join(dir, 'weights.safetensors'), writeSafetensors(weights as never))
    const back = readForeignModel(join(dir, 'weights.safetensors'))
    sameNumbers(weights, back.weights)
    expect({ ...back.config.model, init: model.init, dropPathRate: model.dropPathRate }).toEqual(model)
    expect(readForeignModel(join(dir, 'weights.safetensors'), { numHeads: 4 }).config.model.numHeads).toBe(4)
  })

  it('are refused when a tensor is missing, misshapen or not finite', () => {
    const model = modelOf()
    const broken = (change: (weights: Map<string, StoredTensor>) => void) => {
      const weights = weightsOf(model)
      change(weights)
      writeFileSync(join(dir, 'broken.safetensors'), writeSafetensors(weights as never))
      return () => readForeignModel(join(dir, 'broken.safetensors'))
    }
    const name = 'vision_model.layernorm.bias'
    expect(broken((w) => w.delete(name))).toThrow(/has no vision_model.layernorm.bias/)
    expect(broken((w) => w.set(name, { dtype: 'F32', shape: [2], data: new Float32Array(2) }))).toThrow(
      /the shape \[2\]/,
    )
    expect(broken((w) => w.get(name)!.data.fill(Number.NaN))).toThrow(/not finite/)
    expect(broken((w) => w.delete('vision_model.embeddings.position_embeddings'))).toThrow(
      /not the weights of a GroupViT/,
    )
    expect(() => readForeignModel(join(dir, 'nowhere'))).toThrow(/there is no/)
  })

  it('come from the reference code with its fused projections split and its names mapped', () => {
    const model = modelOf()
    const weights = weightsOf(model)
    writeFileSync(join(dir, 'reference.pth'), torchArchive(asReference(weights)))
    sameNumbers(weights, readForeignModel(join(dir, 'reference.pth')).weights)
  })
})

/** The same weights as the reference code would save them. */
function asReference(weights: Map<string, StoredTensor>): Map<string, StoredTensor> {
  const out = new Map<string, StoredTensor>()
  const back: [RegExp, string][] = [
    [/^vision_model\.embeddings\.position_embeddings$/, 'img_encoder.pos_embed'],
    [/^vision_model\.embeddings\.patch_embeddings\.projection/, 'img_encoder.patch_embed.proj'],
    [/^vision_model\.embeddings\.layernorm/, 'img_encoder.patch_embed.norm'],
    [/^vision_model\.layernorm/, 'img_encoder.norm'],
    [
      /^vision_model\.encoder\.stages\.(\d)\.layers\.(\d)\.self_attn\.out_proj/,
      'img_encoder.layers.$1.blocks.$2.attn.proj',
    ],
    [/^vision_model\.encoder\.stages\.(\d)\.layers\.(\d)\.layer_norm(\d)/, 'img_encoder.layers.$1.blocks.$2.norm$3'],
    [/^vision_model\.encoder\.stages\.(\d)\.layers\.(\d)\.self_attn/, 'img_encoder.layers.$1.blocks.$2.attn'],
    [/^vision_model\.encoder\.stages\.(\d)\.layers\.(\d)/, 'img_encoder.layers.$1.blocks.$2'],
    [/^vision_model\.encoder\.stages/, 'img_encoder.layers'],
    [/pre_assign_attn\.attn\.out_proj/, 'pre_assign_attn.attn.proj'],
    [/^text_model\.embeddings\.token_embedding/, 'text_encoder.token_embedding'],
    [/^text_model\.embeddings\.position_embedding\.weight$/, 'text_encoder.positional_embedding'],
    [/^text_model\.final_layer_norm/, 'text_encoder.ln_final'],
    [/^text_model\.encoder\.layers\.(\d)\.layer_norm(\d)/, 'text_encoder.transformer.resblocks.$1.ln_$2'],
    [/^text_model\.encoder\.layers\.(\d)\.self_attn/, 'text_encoder.transformer.resblocks.$1.attn'],
    [/^text_model\.encoder\.layers\.(\d)\.mlp\.fc1/, 'text_encoder.transformer.resblocks.$1.mlp.c_fc'],
    [/^text_model\.encoder\.layers\.(\d)\.mlp\.fc2/, 'text_encoder.transformer.resblocks.$1.mlp.c_proj'],
    [/^visual_projection\.3/, 'img_projector.linear_out'],
    [/^text_projection\.3/, 'text_projector.linear_out'],
    [/^visual_projection/, 'img_projector.linear_hidden'],
    [/^text_projection/, 'text_projector.linear_hidden'],
  ]
  for (const [name, tensor] of weights) {
    const renamed = back.reduce((text, [from, to]) => text.replace(from, to), name)
    const fused = /^(img_encoder\.layers\.\d\.blocks\.\d\.attn|text_encoder\..*\.attn)\.q_proj\.(weight|bias)$/.exec(
      renamed,
    )
    if (fused) {
      const parts = ['q_proj', 'k_proj', 'v_proj'].map((part) => weights.get(name.replace('q_proj', part))!.data)
      const data = new Float32Array(3 * parts[0].length)
      parts.forEach((part, i) => {
        data.set(part, i * part.length)
      })
      const infix = fused[1].startsWith('img') ? 'qkv.' : 'in_proj_'
      out.set(`${fused[1]}.${infix}${fused[2]}`, {
        dtype: 'F32',
        shape: [3 * tensor.shape[0], ...tensor.shape.slice(1)],
        data,
      })
    } else if (/\.attn\.[kv]_proj/.test(renamed) && !/pre_assign/.test(renamed)) {
      // went with the queries
    } else if (/^(img|text)_projector\.(linear_out|linear_hidden\.0)\.weight$/.test(renamed))
      out.set(renamed, { ...tensor, shape: [...tensor.shape, 1] })
    else out.set(renamed, tensor)
  }
  return out
}

describe('torch checkpoints', () => {
  const one = new Map([['w', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }]])

  it('are read under model, state_dict or at the root', () => {
    for (const under of ['model', 'state_dict', null])
      expect(readTorchFile(torchArchive(one, under), 'x.pth').get('w')).toEqual(one.get('w'))
  })

  it.each([
    [
      'a call of os.system',
      Buffer.from('\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.', 'latin1'),
      /wants posix.system/,
    ],
    ['a name from the stack', Buffer.from('\x80\x04\x8c\x02os\x8c\x06system\x93.', 'latin1'), /wants os.system/],
    ['a class that is built', Buffer.from('\x80\x02cbuiltins\neval\n.', 'latin1'), /wants builtins.eval/],
    ['an unknown opcode', Buffer.from('\x80\x02i', 'latin1'), /opcode 105/],
    ['the end of the bytes', Buffer.from('\x80\x02X\xff\x00\x00\x00ab', 'latin1'), /ends in the middle/],
    ['an empty stack', Buffer.from('\x80\x02R.', 'latin1'), /stack runs empty/],
  ])('are refused when the pickle holds %s', (_, pickle, why) => {
    expect(() => unpickle(pickle, 'x.pth')).toThrow(UserError)
    expect(() => readTorchFile(zip(new Map([['archive/data.pkl', pickle]])), 'x.pth')).toThrow(why)
  })

  it('are refused when they are cut off, no archive, or reach beyond their numbers', () => {
    const whole = torchArchive(one)
    for (const length of [0, 10, whole.length - 30])
      expect(() => readTorchFile(whole.subarray(0, length), 'x.pth')).toThrow(/no zip archive/)
    const large = new Map([['w', { ...one.get('w')!, shape: [3, 2] }]])
    expect(() => readTorchFile(torchArchive(large), 'x.pth')).toThrow(/beyond its numbers/)
  })
})

describe('the hub', () => {
  let server: Server
  let endpoint: string
  const seen: { path: string; range?: string; token?: string }[] = []
  const weights = Buffer.from('weights of a model '.repeat(200_000))
  const config = Buffer.from('{}')
  const sha256 = createHash('sha256').update(weights).digest('hex')
  const gitHash = createHash('sha1').update(`blob ${config.length}\0`).update(config).digest('hex')
  const files: Record<string, { content: Buffer; etag: string }> = {
    '/o/m/resolve/main/config.json': { content: config, etag: gitHash },
    '/o/m/resolve/main/model.safetensors': { content: weights, etag: sha256 },
    '/o/wrong/resolve/main/config.json': { content: config, etag: gitHash },
    '/o/wrong/resolve/main/model.safetensors': { content: weights, etag: '0'.repeat(64) },
    '/o/git/resolve/main/config.json': { content: config, etag: '0'.repeat(40) },
    '/o/large/resolve/main/config.json': { content: config, etag: gitHash },
    '/o/large/resolve/main/model.safetensors': { content: Buffer.alloc(12_000_000), etag: '' },
    '/o/bin/resolve/main/config.json': { content: config, etag: gitHash },
    '/o/bin/resolve/main/pytorch_model.bin': { content: weights, etag: sha256 },
  }
  /** Bytes of the next whole download after which the connection breaks off. */
  let breakAt = Number.POSITIVE_INFINITY
  /** Answers every range with the whole file, as a careless mirror does. */
  let deaf = false
  beforeAll(async () => {
    server = createServer((request, response) => {
      const { range, authorization } = request.headers
      seen.push({ path: request.url!, range, token: authorization })
      if (request.url?.startsWith('/private/')) return void response.writeHead(401).end()
      if (request.url?.startsWith('/broken/')) return void response.writeHead(503).end()
      const file = files[request.url!]
      if (!file) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end()
      const { content, etag } = file
      const [from, to] = (/bytes=(\d+)-(\d+)/.exec(range ?? '')?.slice(1) ?? [0, content.length - 1]).map(Number)
      const isProbe = range === 'bytes=0-0'
      const headers = { etag: '"other"', 'x-linked-etag': `"${etag}"` }
      const body = deaf && !isProbe ? content : content.subarray(from, to + 1)
      if (range) response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${to}/${content.length}` })
      else response.writeHead(200, { ...headers, 'content-length': content.length })
      if (isProbe || body.length <= breakAt) return void response.end(body)
      response.write(body.subarray(0, breakAt), () => response.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => new Promise((resolve) => server.close(resolve)))

  const options = (home: string, token = 'hf_secret') => ({
    home: join(dir, home),
    say: () => {},
    signal: new AbortController().signal,
    env: { HF_ENDPOINT: `${endpoint}/`, HF_TOKEN: token },
  })

  it('gives a model with its token, checked, and only once', async () => {
    const folder = await downloadFromHub('o/m', options('hub'))
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true)
    expect(seen.every(({ token }) => token === 'Bearer hf_secret')).toBe(true)
    const before = seen.length
    await downloadFromHub('o/m', options('hub'))
    expect(seen.length).toBe(before)
  })

  it('gives the weights of torch where it has no others', async () => {
    const folder = await downloadFromHub('o/bin', options('bin', ''))
    expect(readFileSync(join(folder, 'pytorch_model.bin')).equals(weights)).toBe(true)
    expect(seen.at(-1)!.token).toBeUndefined()
  })

  it('goes on where a download broke off, wherever that was', async () => {
    for (let at = 300_000; at < weights.length; at += 300_000) {
      breakAt = at
      const attempt = options(`resumed-${at}`)
      await expect(downloadFromHub('o/m', attempt)).rejects.toMatchObject({
        hint: 'what has arrived is kept: the same command goes on',
      })
      const kept = statSync(join(attempt.home, 'data/hub/o--m/model.safetensors.part')).size
      expect(kept).toBeGreaterThan(at - 2_000_000)
      expect(kept).toBeLessThanOrEqual(at)
      breakAt = Number.POSITIVE_INFINITY
      const folder = await downloadFromHub('o/m', attempt)
      expect(seen.at(-1)!.range ?? 'bytes=0-').toMatch(new RegExp(`^bytes=${kept}-`)) // all of it when nothing is kept
      expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true)
    }
  })

  it('says how far a large file is, in at most ten lines', async () => {
    const said: string[] = []
    const folder = await downloadFromHub('o/large', { ...options('large'), say: (text) => said.push(text) })
    expect(readFileSync(join(folder, 'model.safetensors')).length).toBe(12_000_000)
    expect(said.at(-1)).toBe('model.safetensors: 100 % of 12 MB')
    expect(said.length).toBeLessThanOrEqual(10)
  })

  it('is named when it cannot be reached, with the reason', async () => {
    const nobody = createServer().listen(0)
    const { port } = nobody.address() as AddressInfo
    await new Promise((resolve) => nobody.close(resolve))
    const env = { HF_ENDPOINT: `http://127.0.0.1:${port}` }
    await expect(downloadFromHub('o/m', { ...options('nobody'), env })).rejects.toMatchObject({
      message: `http://127.0.0.1:${port}/o/m/config.json: the hub cannot be reached (ECONNREFUSED).`,
      exitCode: EXIT.environment,
    })
  })

  it.each([
    ['the checksum of the weights differs', 'o/wrong', /another size or checksum/],
    ['the hash of a small file differs', 'o/git', /another size or checksum/],
    ['the model is not there', 'o/none', /the hub answers 404/],
    ['the model is not public', 'private/m', /the hub answers 401/],
    ['it is out of order', 'broken/m', /the hub answers 503/],
  ])('is refused when %s', async (_, id, why) => {
    const failed = downloadFromHub(id, options('refused'))
    await expect(failed).rejects.toBeInstanceOf(UserError)
    await expect(failed).rejects.toThrow(why)
  })

  it('does not splice a whole file onto a part of it', async () => {
    const { home } = options('spliced')
    mkdirSync(join(home, 'data/hub/o--m'), { recursive: true })
    writeFileSync(join(home, 'data/hub/o--m/model.safetensors.part'), weights.subarray(0, 7))
    deaf = true
    await expect(downloadFromHub('o/m', options('spliced'))).rejects.toThrow(/another size or checksum/)
    deaf = false
    const folder = await downloadFromHub('o/m', options('spliced'))
    expect(readFileSync(join(folder, 'model.safetensors')).equals(weights)).toBe(true)
  })

  it('says what is wrong with a token that is none', async () => {
    await expect(downloadFromHub('o/m', options('token', 'secret'))).rejects.toThrow(/must start with 'hf_'/)
  })

  it('is asked only for what looks like owner/model', () => {
    expect(['nvidia/groupvit-gcc-yfcc', 'a/b.pth', './x', 'model.safetensors', 'a/b/c'].map(isHubId)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ])
  })
})
