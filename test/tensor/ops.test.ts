import { beforeAll, describe, expect, it } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import {
  assignGroups,
  attention,
  batchNorm,
  crossEntropy,
  embed,
  l2Normalize,
  layerNorm,
  linear,
  openBackend,
  type Params,
  softmaxAxis,
  type Tensor,
  tf,
  valueAndGradients,
} from '../../lib/tensor/index.ts'
import { presentBackends } from '../golden/backends.ts'

const random = (shape: number[], seed: number): Tensor => {
  const stream = randomStream(seed, 'test')
  const size = shape.reduce((a, b) => a * b, 1)
  return tf.tensor(
    Float32Array.from({ length: size }, () => stream.normal()),
    shape,
  )
}

/** A scalar that depends on every element of y in its own way. */
const weigh = (y: Tensor): Tensor => tf.sum(tf.mul(y, tf.sin(tf.reshape(tf.range(1, y.size + 1), y.shape))))

/** The gradient as central differences see it, in the few elements that `picked` chooses. */
function finiteDifference(f: (x: Params) => Tensor, params: Params, name: string, element: number): number {
  const at = (delta: number) =>
    tf.tidy(() => {
      const values = params[name].dataSync().slice()
      values[element] += delta
      return f({ ...params, [name]: tf.tensor(values, params[name].shape) }).dataSync()[0]
    })
  const h = 1e-2
  return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
}

type Case = { params: () => Params; f: (p: Params) => Tensor }
const labels = () => tf.tensor2d([0.5, 0.5, 0, 0, 0, 1, 0.2, 0.3, 0.5], [3, 3])
const CASES: Record<string, Case> = {
  linear: {
    params: () => ({ x: random([2, 3, 4], 1), w: random([5, 4], 2), b: random([5], 3) }),
    f: ({ x, w, b }) => linear(x, w, b),
  },
  'linear without bias': {
    params: () => ({ x: random([6, 4], 1), w: random([5, 4], 2) }),
    f: ({ x, w }) => linear(x, w, null),
  },
  'linear with gelu': {
    params: () => ({ x: random([3, 4], 1), w: random([5, 4], 2), b: random([5], 3) }),
    f: ({ x, w, b }) => linear(x, w, b, 'gelu'),
  },
  'linear with quickGelu': {
    params: () => ({ x: random([3, 4], 1), w: random([5, 4], 2), b: random([5], 3) }),
    f: ({ x, w, b }) => linear(x, w, b, 'quickGelu'),
  },
  'linear with relu': {
    params: () => ({ x: random([3, 4], 4), w: random([5, 4], 2), b: random([5], 3) }),
    f: ({ x, w, b }) => linear(x, w, b, 'relu'),
  },
  layerNorm: {
    params: () => ({ x: random([2, 3, 6], 1), g: random([6], 2), b: random([6], 3) }),
    f: ({ x, g, b }) => layerNorm(x, g, b, 1e-5),
  },
  'attention of one head': {
    params: () => ({ q: random([2, 3, 4], 1), k: random([2, 5, 4], 2), v: random([2, 5, 4], 3) }),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 1, scale: 0.5 }),
  },
  'attention of two heads': {
    params: () => ({ q: random([2, 3, 4], 1), k: random([2, 5, 4], 2), v: random([2, 5, 4], 3) }),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 2, scale: 0.7 }),
  },
  'causal attention': {
    params: () => ({ q: random([2, 4, 4], 1), k: random([2, 4, 4], 2), v: random([2, 4, 4], 3) }),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 2, scale: 0.7, causal: true }),
  },
  softmaxAxis: { params: () => ({ x: random([2, 3, 4], 1) }), f: ({ x }) => softmaxAxis(x, 1) },
  'soft assignment': {
    params: () => ({ x: random([2, 3, 4], 1) }),
    f: ({ x }) => assignGroups(x, { mode: 'soft', temperature: 0.7 }),
  },
  l2Normalize: { params: () => ({ x: random([3, 4], 1) }), f: ({ x }) => l2Normalize(x) },
  crossEntropy: { params: () => ({ x: random([3, 3], 1) }), f: ({ x }) => crossEntropy(x, labels()) },
  embed: {
    params: () => ({ table: random([7, 3], 1) }),
    f: ({ table }) => embed(table, tf.tensor2d([1, 4, 4, 0, 6, 1], [2, 3], 'int32')),
  },
  'batchNorm of a batch': {
    params: () => ({ x: random([6, 4], 1), g: random([4], 2), b: random([4], 3) }),
    f: ({ x, g, b }) => batchNorm(x, g, b, null, 1e-5),
  },
  'batchNorm with statistics': {
    params: () => ({ x: random([6, 4], 1), g: random([4], 2), b: random([4], 3) }),
    f: ({ x, g, b }) => batchNorm(x, g, b, { mean: tf.zeros([4]), variance: tf.fill([4], 2) }, 1e-5),
  },
}

describe.each(await presentBackends())('ops on %s', (backend) => {
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  it.each(Object.keys(CASES))('%s has the gradient that finite differences see', (name) => {
    const { f } = CASES[name]
    const params = CASES[name].params()
    const { gradients } = valueAndGradients(() => ({ loss: weigh(f(params)), kept: {} }), params)
    for (const [key, tensor] of Object.entries(params)) {
      const gradient = gradients[key].dataSync()
      expect(gradients[key].shape).toEqual(tensor.shape)
      const scale = Math.max(...gradient.map(Math.abs), 1)
      for (let element = 0; element < tensor.size; element++) {
        const expected = finiteDifference((p) => weigh(f(p)), params, key, element)
        expect(Math.abs(gradient[element] - expected) / scale, `${key}[${element}]`).toBeLessThan(2e-3)
      }
    }
  })

  it('assigns each token to its best group and hands on the gradient of the softmax', () => {
    const x = random([2, 3, 4], 1)
    const noise = random([2, 3, 4], 9)
    const hard = valueAndGradients(
      () => ({ loss: weigh(assignGroups(x, { mode: 'hard', temperature: 0.7, noise })), kept: {} }),
      { x },
    )
    const soft = valueAndGradients(
      () => ({ loss: weigh(assignGroups(tf.add(x, noise), { mode: 'soft', temperature: 0.7 })), kept: {} }),
      { x },
    )
    expect(hard.gradients.x.arraySync()).toEqual(soft.gradients.x.arraySync())
    const map = assignGroups(x, { mode: 'hard', temperature: 1 })
    expect(new Set(map.dataSync())).toEqual(new Set([0, 1]))
    expect([...tf.argMax(map, 1).dataSync()]).toEqual([...tf.argMax(x, 1).dataSync()])
    expect([...tf.sum(map, 1).dataSync()].every((n) => n === 1)).toBe(true)
  })
})
