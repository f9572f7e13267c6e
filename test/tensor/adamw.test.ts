import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../lib/config/load.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { createAdamW } from '../../lib/train/adamw.ts'
import { presentBackends } from '../golden/backends.ts'

const { train } = loadConfig(null).config

/** The kernels of cpu under a name whose numbers are not to be had in place. */
async function openDevice(): Promise<void> {
  if (tf.findBackendFactory('device') === null) {
    for (const kernel of tf.getKernelsForBackend('cpu')) tf.registerKernel({ ...kernel, backendName: 'device' })
    const Cpu = (tf.findBackend('cpu') as object).constructor as new () => never
    tf.registerBackend('device', () => new Cpu())
  }
  await tf.setBackend('device')
}

/** Parameters after three steps in which different rows of a table have gradients, and the state of the optimizer. */
function threeSteps(): Record<string, number[]> {
  const params: Params = {
    'a.weight': tf.tensor2d([1, -2, 3, 4], [2, 2]),
    table: tf.tensor2d(
      Float32Array.from({ length: 18 }, (_, i) => Math.sin(i)),
      [6, 3],
    ),
  }
  const optimizer = createAdamW({ ...train, weightDecay: 0.1 }, params, Object.keys(params))
  const steps = [[4, 1], [1], [5, 0, 4]]
  steps.forEach((rows, step) => {
    const gradient = tf.tensor2d(
      Float32Array.from({ length: rows.length * 3 }, (_, i) => Math.cos(i + step)),
      [rows.length, 3],
    )
    const weight = tf.tensor2d([0.5, step, -1, 0.25], [2, 2])
    optimizer.step({ 'a.weight': weight }, [{ name: 'table', rows: Int32Array.from(rows), gradient }], 0.01)
  })
  const all = { ...params, ...optimizer.state() }
  return Object.fromEntries(Object.entries(all).map(([name, t]) => [name, [...t.dataSync()]]))
}

describe('AdamW over a table', () => {
  let expected: Record<string, number[]>
  beforeAll(async () => {
    await openBackend({ backend: 'cpu', threads: 1 })
    expected = threeSteps()
  })

  it('keeps moments of the rows that have had a gradient, in the order of their first', () => {
    expect(expected['rows.table']).toEqual([4, 1, 5, 0])
    expect(expected['exp_avg.table']).toHaveLength(12)
    // rows 2 and 3 have only decayed, three times by 1 - 0.01 * 0.1
    expect(expected.table[6]).toBeCloseTo(Math.sin(6) * 0.999 ** 3, 6)
  })

  it('is the same on a backend whose numbers live on a device', async () => {
    await openDevice()
    const actual = threeSteps()
    expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort())
    for (const [name, values] of Object.entries(expected))
      values.forEach((value, i) => {
        expect(actual[name][i], `${name} ${i}`).toBeCloseTo(value, 6)
      })
    await tf.setBackend('cpu')
  })
})

/** torch.optim.AdamW in float64, written down from Loshchilov & Hutter 2019 (Algorithm 2). */
function inFloat64(weights: number[], gradients: number[][], options: { lr: number; decay: number; eps: number }) {
  const [beta1, beta2] = train.betas
  const { lr, decay, eps } = options
  return weights.map((start, i) => {
    let [w, m, v] = [start, 0, 0]
    gradients.forEach((g, t) => {
      m = beta1 * m + (1 - beta1) * g[i]
      v = beta2 * v + (1 - beta2) * g[i] ** 2
      const mHat = m / (1 - beta1 ** (t + 1))
      const vHat = v / (1 - beta2 ** (t + 1))
      w = w - lr * decay * w - (lr * mHat) / (Math.sqrt(vHat) + eps)
    })
    return w
  })
}

describe.each([...(await presentBackends()), 'device' as const])('AdamW on %s', (backend) => {
  // from far below eps, where its place decides, to gradients of 1; the norm stays below the clip
  const sizes = Array.from({ length: 24 }, (_, i) => 10 ** (-11 + i / 2.2))
  const steps = [1, -0.4, 0.7, 0.9].map((factor, t) =>
    sizes.map((size, i) => Math.fround(size * factor * (1 + 0.1 * Math.sin(3 * i + t)) * (i % 2 ? 1 : -1))),
  )
  const begin = sizes.map((_, i) => Math.fround(Math.cos(i)))
  const [lr, decay, eps] = [0.01, 0.5, 1e-8]

  beforeAll(async () => {
    if (backend === 'device') {
      await openBackend({ backend: 'cpu', threads: 1 })
      await openDevice()
    } else await openBackend({ backend, threads: 1 })
  })
  afterAll(async () => {
    await openBackend({ backend: 'cpu', threads: 1 })
  })

  it.each([
    ['a matrix decays', 'a.weight', [4, 6], 'reference', decay],
    ['a vector does not', 'a.weight', [24], 'reference', 0],
    ['a bias does not', 'a.bias', [4, 6], 'reference', 0],
    ['a scale, which has no dimension, does by the rule of the reference', 'scale', [], 'reference', decay],
    ['and does not by that of the matrices', 'scale', [], 'matrices', 0],
  ] as const)('%s, and each element goes as the formula says', (_, name, shape, decayRule, expectedDecay) => {
    const count = shape.length === 0 ? 1 : 24
    const params: Params = { [name]: tf.tensor(Float32Array.from(begin.slice(0, count)), [...shape]) }
    const optimizer = createAdamW({ ...train, weightDecay: decay, eps, decayRule }, params, [name])
    for (const gradient of steps)
      optimizer.step({ [name]: tf.tensor(Float32Array.from(gradient.slice(0, count)), [...shape]) }, [], lr)
    const expected = inFloat64(begin.slice(0, count), steps, { lr, decay: expectedDecay, eps })
    params[name].dataSync().forEach((value, i) => {
      expect(Math.abs(value - expected[i]), `gradients of ${sizes[i].toExponential(0)}`).toBeLessThan(1e-6)
    })
    optimizer.dispose()
  })

  it('a row of a table goes as a matrix does, and one without a gradient goes on by its moments', () => {
    const params: Params = { table: tf.tensor2d(Float32Array.from(begin), [4, 6]) }
    const optimizer = createAdamW({ ...train, weightDecay: decay, eps }, params, ['table'])
    const rows = [[0, 1, 2, 3], [2, 0], [1], [3, 0, 1]]
    const dense = steps.map((gradient, t) => gradient.map((g, i) => (rows[t].includes(Math.floor(i / 6)) ? g : 0)))
    rows.forEach((named, t) => {
      const gradient = named.flatMap((row) => dense[t].slice(row * 6, row * 6 + 6))
      const rowGradient = {
        name: 'table',
        rows: Int32Array.from(named),
        gradient: tf.tensor2d(gradient, [named.length, 6]),
      }
      optimizer.step({}, [rowGradient], lr)
    })
    const expected = inFloat64(begin, dense, { lr, decay, eps })
    params.table.dataSync().forEach((value, i) => {
      expect(Math.abs(value - expected[i]), `element ${i}`).toBeLessThan(1e-6)
    })
    optimizer.dispose()
  })
})
