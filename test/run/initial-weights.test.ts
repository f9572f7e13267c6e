import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { initParams } from '../../lib/model/index.ts'
import { saveCheckpoint } from '../../lib/run/checkpoint.ts'
import { initialParams } from '../../lib/run/initial-weights.ts'
import { openBackend, type Params } from '../../lib/tensor/index.ts'
import { writeSafetensors } from '../../lib/tensor/safetensors.ts'

const configOf = (init: string | null, seed: number) =>
  configSchema.parse({
    seed,
    model: {
      imageSize: 16,
      patchSize: 8,
      embedDim: 16,
      numHeads: 2,
      depth: 2,
      stages: 1,
      groupTokens: 4,
      segments: 2,
      text: { width: 16, depth: 1, numHeads: 2, contextLength: 8, vocabSize: 40 },
      projection: { dim: 8, hiddenDim: 12 },
    },
    train: { init },
  })

const numbers = (params: Params) => Object.values(params).map((tensor) => [...tensor.dataSync()])

describe('the weights a run begins with', () => {
  let home: string
  beforeAll(async () => {
    await openBackend({ backend: 'cpu', threads: 1 })
    home = mkdtempSync(join(tmpdir(), 'gvx-init-'))
    const dir = join(home, 'runs', 'run3')
    mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, 'run.json'), '{}')
    const model = Object.entries(initParams(configOf(null, 7).model, 7)).map(
      ([name, t]): [string, { shape: number[]; data: Float32Array }] => [
        name,
        { shape: [...t.shape], data: t.dataSync() as Float32Array },
      ],
    )
    const state = { configHash: 'x', best: null, versions: {} }
    saveCheckpoint(dir, 0, { model, optimizer: [], state, best: true })
    writeFileSync(join(home, 'w.safetensors'), writeSafetensors(model))
  })
  afterAll(() => rmSync(home, { recursive: true }))

  it('are drawn by its seed, or those of a run, or of a file', () => {
    const drawn = numbers(initialParams(configOf(null, 7), home).params)
    expect(numbers(initialParams(configOf(null, 8), home).params)).not.toEqual(drawn)
    for (const init of ['run3', '3', 'runs/run3', 'w.safetensors'])
      expect(numbers(initialParams(configOf(init, 8), home).params), init).toEqual(drawn)
  })

  it('are asked for in one sentence where there are none', () => {
    expect(() => initialParams(configOf('run9', 1), home)).toThrow(/there is no .*run9/)
  })
})
