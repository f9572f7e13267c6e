import { beforeAll, describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { initParams, parameterSpecs, trainableNames } from '../../lib/model/index.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { titleOf } from './model.ts'
import { goldenJson, hasGolden } from './set.ts'

const FILE = 'init/init_stats_paper_size.json'
type Stats = Record<string, { shape: number[]; nvlabs: { mean: number; std: number; min: number; max: number } | null }>

const moments = (values: ArrayLike<number>) => {
  let sum = 0
  let squares = 0
  for (let i = 0; i < values.length; i++) sum += values[i]
  const mean = sum / values.length
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2
  return { mean, std: Math.sqrt(squares / Math.max(1, values.length - 1)) }
}

describe('golden initialisation', () => {
  let params: Params
  const { model } = configSchema.parse({})
  beforeAll(async () => {
    await openBackend({ backend: 'cpu', threads: 1 })
    params = initParams(model, 0)
  }, 600_000) // 55 million numbers, on a machine that may be busy

  it.skipIf(!hasGolden(FILE))(titleOf('has the shapes, means and deviations of the reference', [FILE]), () => {
    const stats = Object.entries(goldenJson<Stats>(FILE)).filter(([, { nvlabs }]) => nvlabs !== null)
    expect(Object.keys(params).sort()).toEqual(stats.map(([name]) => name).sort())
    for (const [name, { shape, nvlabs }] of stats) {
      const values = params[name].dataSync()
      expect(params[name].shape, name).toEqual(shape)
      const { mean, std } = moments(values)
      // both are samples: five standard errors of a difference of two, for the mean and for the deviation
      const error = (5 * Math.SQRT2 * nvlabs!.std) / Math.sqrt(values.length)
      expect(Math.abs(mean - nvlabs!.mean), `mean of ${name}`).toBeLessThanOrEqual(error + 1e-5)
      expect(Math.abs(std - nvlabs!.std), `deviation of ${name}`).toBeLessThanOrEqual(error + 1e-5)
    }
  })

  it('has the 55.73 million parameters of the paper', () => {
    const trainable = new Set(trainableNames(model))
    const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1)
    const count = parameterSpecs(model)
      .filter(({ name }) => trainable.has(name))
      .reduce((sum, { shape }) => sum + size(shape), 0)
    expect(count).toBe(55_726_610)
  })

  it('is a function of the seed and the name of the parameter', () => {
    const small = (seed: number, depth: number) =>
      initParams(
        configSchema.parse({
          model: {
            imageSize: 32,
            embedDim: 24,
            depth,
            text: { vocabSize: 100, width: 16, depth: 1 },
            projection: { hiddenDim: 32, dim: 16 },
          },
        }).model,
        seed,
      )
    const name = 'vision_model.encoder.stages.0.layers.0.mlp.fc1.weight'
    const [a, b, c] = [small(1, 4), small(1, 6), small(2, 4)].map((p) => [...p[name].dataSync()])
    expect(a).toEqual(b)
    expect(a).not.toEqual(c)
    tf.dispose(params)
  })
})
