import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { nativeBackend } from '../../lib/backends/native/current.ts'
import { fallbacksOf } from '../../lib/backends/native/registry.ts'
import { experimentsFolder, loadConfig } from '../../lib/config/load.ts'
import type { Config } from '../../lib/config/schema.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { segmentPixels } from '../../lib/eval/segmentation.ts'
import { openSegmenter } from '../../lib/eval/segmenter.ts'
import { initParams, trainableNames } from '../../lib/model/index.ts'
import { expandPoints } from '../../lib/sweep/points.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import {
  assignGroups,
  attention,
  batchNorm,
  crossEntropy,
  type EncoderOptions,
  type EncoderWeights,
  embed,
  encoderLayer,
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
import { createAdamW } from '../../lib/train/adamw.ts'
import { trainStep } from '../../lib/train/step.ts'
import { nativeBuilt } from './native-built.ts'

const random = (seed: number, ...shape: number[]): Tensor => {
  const { normal } = randomStream(seed, 'fused')
  return tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, normal), shape)
}

type Case = { inputs: () => Params; f: (inputs: Params) => Tensor }
const both = (x: number[], y: number[]) => ({ x: random(1, ...x), y: random(2, ...y) })
const layer = (rows: number[], i: number, o: number) => () => ({
  x: random(1, ...rows, i),
  w: random(2, o, i),
  b: random(3, o),
})
const heads = (b: number, n: number, m: number, c: number) => () => ({
  q: random(1, b, n, c),
  k: random(2, b, m, c),
  v: random(3, b, m, c),
})

/** What a transformer layer needs: x and its weights, by the names of EncoderWeights. */
const encoder = (shape: number[], c: number, hidden: number) => () => {
  const matrices = { q: [c, c], k: [c, c], v: [c, c], out: [c, c], fc1: [hidden, c], fc2: [c, hidden] }
  const drawn = Object.entries(matrices).flatMap(([name, [o, i]], at) => [
    [name, tf.mul(random(at + 2, o, i), i ** -0.5)],
    [`${name}Bias`, random(at + 20, o)],
  ])
  const norms = ['norm1', 'norm1Bias', 'norm2', 'norm2Bias'].map((name, at) => [name, random(at + 40, c)])
  return { x: random(1, ...shape, c), ...Object.fromEntries([...drawn, ...norms]) } as Params
}
const weightsOf = ({ x: _, ...weights }: Params) => weights as EncoderWeights
const EPS = 1e-5
const transformer = (inputs: Case['inputs'], options: Partial<EncoderOptions> & { heads: number }): Case => ({
  inputs,
  f: (p) => encoderLayer(p.x, weightsOf(p), { activation: 'gelu', causal: false, eps: EPS, ...options }),
})

/** Odd sizes; sizes that are cut into pieces for threads; heads narrower, as wide and wider than a vector. */
const CASES: Record<string, Case> = {
  'a linear layer': { inputs: layer([3, 7], 5, 11), f: ({ x, w, b }) => linear(x, w, b) },
  'a large linear layer with gelu': { inputs: layer([2, 151], 65, 130), f: ({ x, w, b }) => linear(x, w, b, 'gelu') },
  'a linear layer with quickGelu': {
    inputs: layer([2, 33], 48, 100),
    f: ({ x, w, b }) => linear(x, w, b, 'quickGelu'),
  },
  'a linear layer with relu and without bias': {
    inputs: layer([50], 33, 20),
    f: ({ x, w }) => linear(x, w, null, 'relu'),
  },
  'a linear layer from 1024 channels': { inputs: layer([40], 1024, 24), f: ({ x, w, b }) => linear(x, w, b) },
  'layer normalisation': {
    inputs: () => ({ x: random(1, 5, 61, 37), g: random(2, 37), b: random(3, 37) }),
    f: ({ x, g, b }) => layerNorm(x, g, b, 1e-5),
  },
  'batch normalisation': {
    inputs: () => ({ x: random(1, 67, 130), g: random(2, 130), b: random(3, 130) }),
    f: ({ x, g, b }) => batchNorm(x, g, b, null, 1e-5),
  },
  'cross-attention of heads of 16': {
    inputs: heads(2, 7, 33, 64),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 4, scale: 0.25 }),
  },
  'attention of heads of 5': {
    inputs: heads(3, 20, 20, 15),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 3, scale: 0.5 }),
  },
  'attention of heads of 64': {
    inputs: heads(2, 50, 50, 128),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 2, scale: 0.125 }),
  },
  'causal attention': {
    inputs: heads(3, 24, 24, 32),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 2, scale: 0.25, causal: true }),
  },
  'causal attention in blocks of queries': {
    inputs: heads(1, 270, 270, 8),
    f: ({ q, k, v }) => attention(q, k, v, { heads: 1, scale: 0.25, causal: true }),
  },
  'a transformer layer': transformer(encoder([2, 33], 24, 50), { heads: 3 }),
  'a causal transformer layer of many rows': transformer(encoder([9, 31], 32, 128), {
    heads: 2,
    activation: 'quickGelu',
    causal: true,
  }),
  // more than 1.5 million numbers before the activation: they are computed again
  'a wide transformer layer': transformer(encoder([1, 400], 8, 4096), { heads: 1 }),
  // half a million numbers inside the MLP and few weights: their gradients are summed in parts
  'a transformer layer of very many rows': transformer(encoder([65, 64], 32, 128), {
    heads: 2,
    factors: [0, 1].map((branch) => Float32Array.from({ length: 65 }, (_, i) => ((i + branch) % 4) / 2)) as never,
  }),
  'a wide transformer layer of very many rows': transformer(encoder([62, 51], 16, 512), { heads: 1 }),
  'a transformer layer with stochastic depth': transformer(encoder([3, 7], 16, 24), {
    heads: 2,
    factors: [Float32Array.of(1.25, 0, 1.25), Float32Array.of(0, 1.25, 1.25)],
  }),
  'softmax over a middle axis': { inputs: () => both([4, 9, 70], [1]), f: ({ x }) => softmaxAxis(x, 1) },
  'softmax over the last axis': { inputs: () => both([4, 9, 70], [1]), f: ({ x }) => softmaxAxis(x, -1) },
  'hard assignment with noise': {
    inputs: () => both([3, 8, 70], [3, 8, 70]),
    f: ({ x, y }) => assignGroups(x, { mode: 'hard', temperature: 0.5, noise: y }),
  },
  'soft assignment': {
    inputs: () => both([3, 8, 70], [1]),
    f: ({ x }) => assignGroups(x, { mode: 'soft', temperature: 2 }),
  },
  'l2 normalisation': { inputs: () => both([5, 33], [1]), f: ({ x }) => l2Normalize(x) },
  'l2 normalisation of zeros': { inputs: () => ({ x: tf.zeros([2, 3]) as Tensor }), f: ({ x }) => l2Normalize(x) },
  'cross-entropy with soft targets': {
    inputs: () => ({ x: random(1, 9, 21) }),
    f: ({ x }) => crossEntropy(x, tf.softmax(random(2, 9, 21))),
  },
  'rows of a table': {
    inputs: () => ({ x: random(1, 50, 13) }),
    f: ({ x }) =>
      embed(
        x,
        tf.tensor2d(
          [
            [0, 49, 3],
            [3, 3, 7],
          ],
          [2, 3],
          'int32',
        ),
      ),
  },
}

/** The value and the gradient of every input that has one, as arrays. */
function resultsOf({ inputs, f }: Case): Record<string, Float32Array> {
  return tf.tidy(() => {
    const given = inputs()
    const weigh = (y: Tensor) => tf.sum(tf.mul(y, tf.cos(tf.reshape(tf.range(0, y.size), y.shape))))
    const { kept, gradients } = valueAndGradients(() => {
      const y = f(given)
      return { loss: weigh(y), kept: { y } }
    }, given)
    const named = Object.entries({ ...gradients, value: kept.y })
    return Object.fromEntries(named.map(([name, tensor]) => [name, tensor.dataSync().slice()])) as never
  }) as Record<string, Float32Array>
}

function expectClose(actual: Record<string, Float32Array>, expected: Record<string, Float32Array>) {
  expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort())
  const mostOf = (values: Float32Array) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-3)
  // the bias of the keys cancels in the softmax: its gradient is the rounding of the others
  const floor = 'kBias' in expected ? mostOf(expected.qBias) : 0
  for (const [name, values] of Object.entries(expected)) {
    const largest = Math.max(mostOf(values), floor)
    const error = values.reduce((most, v, i) => Math.max(most, Math.abs(v - actual[name][i])), 0)
    expect(actual[name].length, name).toBe(values.length)
    expect(error / largest, name).toBeLessThan(3e-5)
  }
}

describe.skipIf(!nativeBuilt())('fused layers of the native backend', () => {
  afterAll(() => openBackend({ backend: 'native', threads: 1 }))

  it.each(Object.keys(CASES))(
    '%s: value and gradients are those of the composition, with any number of threads',
    async (name) => {
      await openBackend({ backend: 'cpu', threads: 1 })
      const expected = resultsOf(CASES[name])
      let single: Record<string, Float32Array> | null = null
      for (const threads of [1, 2, 3, 7]) {
        await openBackend({ backend: 'native', threads })
        const first = resultsOf(CASES[name])
        expectClose(first, expected)
        // to the bit: every time, and whatever the number of threads
        expect(resultsOf(CASES[name])).toEqual(first)
        single ??= first
        expect(first).toEqual(single)
      }
    },
  )

  it('a transformer layer over sequences is one over each of them with what it goes on from', async () => {
    const lengths = [5, 40, 1, 300, 7]
    const prefixes = [[], [0, 1], [0, 1, 5, 6, 7, 8], [], [0, 1, 5]]
    const startOf = (sizes: number[]) => Int32Array.of(0, ...sizes.map((_, i) => sizes.slice(0, i + 1).reduce(sum)))
    const sum = (a: number, b: number) => a + b
    const starts = startOf(lengths)
    const sequences = {
      starts,
      prefixes: Int32Array.from(prefixes.flat()),
      prefixStarts: startOf(prefixes.map((rows) => rows.length)),
      longest: 300,
    }
    const options = { heads: 2, activation: 'quickGelu', causal: true, eps: EPS } as const
    const inputs = encoder([lengths.reduce(sum)], 32, 64)
    const whole = (p: Params, i: number) => {
      const own = Array.from({ length: lengths[i] }, (_, row) => starts[i] + row)
      const x = tf.expandDims(tf.gather(p.x, tf.tensor1d([...prefixes[i], ...own], 'int32')), 0)
      const y = encoderLayer(x, weightsOf(p), options)
      return tf.slice(tf.squeeze(y, [0]), [prefixes[i].length, 0], [lengths[i], 32])
    }
    await openBackend({ backend: 'native', threads: 2 })
    const apart = resultsOf({ inputs, f: (p) => tf.concat(lengths.map((_, i) => whole(p, i))) })
    let single: Record<string, Float32Array> | null = null
    for (const threads of [1, 2, 3, 7]) {
      await openBackend({ backend: 'native', threads })
      const together = resultsOf({ inputs, f: (p) => encoderLayer(p.x, weightsOf(p), { ...options, sequences }) })
      expectClose(together, apart)
      expect(together.value).toEqual(apart.value)
      single ??= together
      expect(together).toEqual(single)
    }
  })

  it('softmax is as accurate far below the largest as near it', async () => {
    await openBackend({ backend: 'native', threads: 1 })
    const below = Float32Array.from({ length: 800 }, (_, i) => -i / 10)
    const soft = tf.tidy(() => softmaxAxis(tf.stack([tf.zerosLike(below), tf.tensor1d(below)], 1), 1).dataSync())
    below.forEach((x, i) => {
      expect(soft[2 * i + 1] / (Math.exp(x) / (1 + Math.exp(x))), String(x)).toBeCloseTo(1, 6)
    })
  })

  it('wide layers keep what their activations get while there is room, and the others compute it again, to the bit', async () => {
    await openBackend({ backend: 'native', threads: 2 })
    const layers = vi.spyOn(nativeBackend()!.addon, 'encoderLayer')
    const { x, ...weights } = encoder([64, 64], 192, 4096)() // a quarter of what all may keep
    const copies = Object.fromEntries(Array.from({ length: 5 }, (_, i) => [`x${i}`, tf.clone(x)]))
    for (let time = 0; time < 2; time++) {
      const { loss, gradients } = valueAndGradients(() => {
        const each = Object.values(copies).map((copy) =>
          encoderLayer(copy, weights as EncoderWeights, { heads: 3, activation: 'gelu', causal: false, eps: EPS }),
        )
        return { loss: tf.addN(each.map((y) => tf.sum(tf.square(y)))), kept: null }
      }, copies)
      const [first, ...others] = Object.values(gradients).map((gradient) => Buffer.from(gradient.dataSync().buffer))
      for (const other of others) expect(other.equals(first)).toBe(true)
      tf.dispose([loss, ...Object.values(gradients)])
    }
    const kept = layers.mock.calls.map((call) => (call.at(-2) as (Float32Array | null)[])[6] !== null)
    expect(kept).toEqual([true, true, true, true, false, true, true, true, true, false])
    layers.mockRestore()
    tf.dispose([x, ...Object.values(weights), ...Object.values(copies)])
  })

  it('an op outside of a gradient leaves nothing behind', async () => {
    await openBackend({ backend: 'native', threads: 2 })
    for (const { inputs, f } of Object.values(CASES)) {
      const before = tf.memory().numDataBuffers
      tf.tidy(() => {
        f(inputs())
      })
      expect(tf.memory().numDataBuffers).toBe(before)
    }
  })
})

/** A configuration with the fewest images that still look like a batch. */
function small(config: Config, batchSize: number) {
  const { model, multiLabel } = config
  const params = initParams(model, 0)
  const optimizer = createAdamW(config.train, params, trainableNames(model))
  const { normal, int } = randomStream(1, 'batch')
  const length = model.text.contextLength
  const batch = {
    images: Float32Array.from({ length: batchSize * model.imageSize ** 2 * 3 }, normal),
    tokens: Int32Array.from({ length: batchSize * (1 + multiLabel.nouns) * length }, (_, i) =>
      i % length < 12 ? int(400) + 1 : i % length === 12 ? 49407 : 0,
    ),
  }
  return { params, step: (step: number) => trainStep({ params, optimizer, config, batch, step }).read() }
}

/** Every model with its losses and evaluation that a file of `experiments/` trains, once, by its first name. */
function configurations(): [string, Config][] {
  const files = readdirSync(experimentsFolder(), { recursive: true, encoding: 'utf8' }).filter((f) =>
    f.endsWith('.yaml'),
  )
  const found = new Map<string, [string, Config]>()
  for (const file of files.sort()) {
    const own = file.startsWith('ablations')
      ? expandPoints(loadSweep(file)).map(({ key, config }) => [`${file} ${key}`, config] as const)
      : [[file, loadConfig(file).config] as const]
    for (const [name, config] of own) {
      const { model, loss, multiLabel, eval: evaluation } = config
      const what = JSON.stringify([model, loss, multiLabel, evaluation])
      if (!found.has(what)) found.set(what, [name, config])
    }
  }
  return [...found.values()]
}

/** Tensors up to this size may be left to tfjs's own kernels. */
const MAY_FALL_BACK = 4096

describe.skipIf(!nativeBuilt())('training and evaluation on the native backend', () => {
  beforeAll(async () => {
    await openBackend({ backend: 'native', threads: 2 })
  })

  it('an allocation that fails is an error, and the backend goes on', () => {
    const { addon } = nativeBackend()!
    const a = new Float32Array(4).fill(1)
    // partial sums for so many columns are asked for before anything is read
    expect(() => addon.layerNormGrad(a, a, a, a, a, a, a, a, 1, 2 ** 46)).toThrow('out of memory')
    expect([...tf.tidy(() => layerNorm(tf.ones([2, 3]), tf.ones([3]), tf.zeros([3]), EPS)).dataSync()]).toEqual([
      0, 0, 0, 0, 0, 0,
    ])
  })

  it.each(configurations())('nothing large falls back to JavaScript: %s', { timeout: 120_000 }, async (_, config) => {
    const { params, step } = small(config, config.model.imageSize > 64 ? 2 : 8)
    const found = await fallbacksOf(async () => {
      step(0)
      const segmenter = await openSegmenter(params, config, ['circle', 'night'], false)
      const [width, height] = [1.5 * config.model.imageSize, config.model.imageSize]
      await segmentPixels(segmenter, [{ width, height, data: new Float32Array(width * height * 3) }])
    })
    tf.dispose(params)
    expect([...found].filter(([, size]) => size > MAY_FALL_BACK)).toEqual([])
  })

  it('sixteen steps: the same numbers twice, no tensor more, memory of one step', () => {
    const run = () => {
      const { step, params } = small(loadConfig('scenes.yaml', { sets: ['model.dropPathRate=0.1'] }).config, 8)
      // the optimizer's moments are made in the first step
      const first = [step(0), step(1)].map((values) => values['train/loss'])
      const [tensors, pooled] = [tf.memory().numTensors, pooledBytes()]
      const losses = [...first, ...Array.from({ length: 14 }, (_, i) => step(i + 2)['train/loss'])]
      expect(tf.memory().numTensors).toBe(tensors)
      expect(pooledBytes()).toBeLessThan(pooled * 1.2 + 1e6)
      tf.dispose(params)
      return losses
    }
    const losses = run()
    expect(losses.every(Number.isFinite)).toBe(true)
    expect(losses.at(-1)).toBeLessThan(losses[0])
    expect(run()).toEqual(losses)
  })
})

const pooledBytes = () => (tf.memory() as unknown as { pooledBytes: number }).pooledBytes
