import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { readForeignModel } from '../../lib/model/hf-folder.ts'
import { readTorchFile } from '../../lib/model/torch-file.ts'

/** Written by torch 2.13: test/fixtures/torch/make.py. */
const file = (name: string) => join(import.meta.dirname, '../fixtures/torch', name)
const read = (name: string) => readTorchFile(readFileSync(file(name)), name)

/** The numbers that make.py gives a tensor. */
const numbersOf = (name: string, size: number) =>
  Float32Array.from({ length: size }, (_, i) => ((31 * i + 7 * name.length) % 97) / 97 - 0.5)

function refusal(name: string): UserError {
  try {
    readForeignModel(file(name))
  } catch (error) {
    expect(error).toBeInstanceOf(UserError)
    return error as UserError
  }
  throw new Error(`${name} was read`)
}

describe('checkpoints that torch has written', () => {
  it('give their model, whatever else a training script has put beside it', () => {
    const { config, weights } = readForeignModel(file('training.pth'))
    expect(config.model).toMatchObject({
      imageSize: 16,
      patchSize: 8,
      embedDim: 8,
      stages: 1,
      depths: [1, 1],
      numGroupTokens: [4],
      numOutputGroups: [2],
      text: { width: 8, depth: 1, contextLength: 7, vocabSize: 20 },
      projection: { dim: 6, hiddenDim: 10, depth: 2 },
    })
    const fused = 'img_encoder.layers.1.blocks.0.attn.qkv.weight'
    const key = 'vision_model.encoder.stages.1.layers.0.self_attn.k_proj.weight'
    expect(weights.get(key)).toMatchObject({ shape: [8, 8], data: numbersOf(fused, 192).slice(64, 128) })
    const head = 'text_projector.linear_out.weight'
    expect(weights.get('text_projection.3.weight')).toMatchObject({ shape: [6, 10], data: numbersOf(head, 60) })
    expect(weights.get('visual_projection.1.num_batches_tracked')!.data[0]).toBe(5)
  })

  it('give their weights beside a configuration that OmegaConf 2.3 itself has written', () => {
    const found = read('omegaconf.pth')
    expect([...found.keys()]).toEqual(['logit_scale'])
    expect([...found.get('logit_scale')!.data]).toEqual([1.5])
  })

  it('may hold views of one storage, other types and parameters', () => {
    const found = read('odd.pth')
    const values = (name: string) => [found.get(name)!.shape, [...found.get(name)!.data]]
    expect(values('turned')).toEqual([
      [4, 3],
      [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11],
    ])
    expect(values('part')).toEqual([
      [2, 2],
      [4, 6, 8, 10],
    ])
    for (const name of ['half', 'bfloat']) expect(values(name)).toEqual([[2], [0.5, -2]])
    expect(values('double')).toEqual([[1], [Math.fround(0.1)]])
    expect(values('long')).toEqual([[2], [1, -2]])
    expect(values('flag')).toEqual([[2], [1, 0]])
    expect(values('parameter')).toEqual([[2], [1, 1]])
    expect(values('empty')).toEqual([[0, 3], []])
  })

  it('are refused where they want to call something, and nothing is called', () => {
    const { message, hint } = refusal('evil.pth')
    expect(message).toMatch(/evil\.pth is no checkpoint that can be read safely: it wants posix\.system\.$/)
    expect(hint).toContain('torch.save({"model": c.get("model", c)}, "weights.pth")')
    expect(existsSync('/tmp/gvx-was-here')).toBe(false)
  })

  it('are refused where a weight is no tensor', () => {
    expect(refusal('no-tensor.pth').message).toMatch(
      /img_encoder\.pos_embed among its weights is a yacs\.config\.CfgNode, not a tensor\.$/,
    )
  })
})
