import { beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../lib/config/load.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { createAdamW } from '../../lib/train/adamw.ts'

const { train } = loadConfig(null).config

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
    for (const kernel of tf.getKernelsForBackend('cpu')) tf.registerKernel({ ...kernel, backendName: 'device' })
    const Cpu = (tf.findBackend('cpu') as object).constructor as new () => never
    tf.registerBackend('device', () => new Cpu())
    await tf.setBackend('device')
    const actual = threeSteps()
    expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort())
    for (const [name, values] of Object.entries(expected))
      values.forEach((value, i) => {
        expect(actual[name][i], `${name} ${i}`).toBeCloseTo(value, 6)
      })
    await tf.setBackend('cpu')
  })
})
