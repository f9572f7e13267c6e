import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { nativeBackend } from '../../lib/backends/native/current.ts'
import { loadConfig } from '../../lib/config/load.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { encodeImage, initParams, projectImage, trainableNames } from '../../lib/model/index.ts'
import { addInPlace } from '../../lib/tensor/in-place.ts'
import {
  type EncoderWeights,
  encoderLayer,
  linear,
  liveValues,
  openBackend,
  type Params,
  type Tensor,
  tensorFrom,
  tf,
  valueAndGradients,
} from '../../lib/tensor/index.ts'
import { createAdamW } from '../../lib/train/adamw.ts'
import { trainStep } from '../../lib/train/step.ts'
import { nativeBuilt } from './native-built.ts'

const drawn = (seed: number, n: number) => {
  const { normal } = randomStream(seed, 'packed')
  return Float32Array.from({ length: n }, normal)
}
const owned = (seed: number, o: number, i: number) => tensorFrom(drawn(seed, o * i), [o, i])
const pooled = () => (tf.memory() as unknown as { pooledBytes: number }).pooledBytes

/** x @ wᵀ as often as it takes to use the packed form. */
function products(x: Tensor, w: Tensor, times = 3): Float32Array {
  let out: Float32Array = new Float32Array()
  for (let i = 0; i < times; i++) out = tf.tidy(() => linear(x, w, null).dataSync()) as Float32Array
  return out
}

/** The same with a new tensor of the same numbers, which is not packed. */
const fresh = (x: Tensor, w: Tensor): Float32Array =>
  tf.tidy(() => linear(x, tf.tensor(w.dataSync().slice(), w.shape), null).dataSync()) as never

describe.skipIf(!nativeBuilt())('weights that are used again are packed once', () => {
  const [o, i] = [96, 37]
  let x: Tensor

  beforeAll(async () => {
    await openBackend({ backend: 'native', threads: 2 })
    x = tensorFrom(drawn(1, 5 * i), [5, i])
  })
  afterEach(() => {
    expect(nativeBackend()!.values(x).every(Number.isFinite)).toBe(true)
  })

  it('from their second use on, with the same result to the bit', () => {
    const w = owned(2, o, i)
    const native = nativeBackend()!
    expect(native.packed(w)).toBeNull()
    expect(native.packed(w)).not.toBeNull()
    expect(native.packed(w)).toBe(native.packed(w))
    expect(products(x, w)).toEqual(fresh(x, w))
    w.dispose()
  })

  it('not while a gradient will be asked for', () => {
    const w = owned(2, o, i)
    for (let step = 0; step < 3; step++)
      tf.tidy(() => valueAndGradients(() => ({ loss: tf.sum(linear(x, w, null)), kept: null }), { w }).loss.dataSync())
    expect(nativeBackend()!.packed(w)).toBeNull() // its first use
    w.dispose()
  })

  it('packing between a forward pass and its backward pass changes no gradient', () => {
    const c = 64
    const size: Record<string, number[]> = { q: [c, c], k: [c, c], v: [c, c], out: [c, c], fc1: [96, c], fc2: [c, 96] }
    const vectors = ['norm1', 'norm1Bias', 'qBias', 'kBias', 'vBias', 'outBias', 'norm2', 'norm2Bias', 'fc2Bias']
    for (const name of vectors) size[name] = [c]
    size.fc1Bias = [96]
    const weights = Object.fromEntries(
      Object.entries(size).map(([name, shape], seed) => [
        name,
        tensorFrom(drawn(seed, shape[0] * (shape[1] ?? 1)), shape),
      ]),
    )
    const rows = tensorFrom(drawn(20, 2 * 9 * c), [2, 9, c])
    const options = { heads: 2, activation: 'gelu', causal: false, eps: 1e-5 } as const
    const gradients = (between: () => void) => {
      const passed = valueAndGradients(() => {
        const y = encoderLayer(rows, weights as EncoderWeights, options)
        const loss = tf.sum(tf.square(linear(y, weights.fc1, null)))
        between()
        return { loss, kept: null }
      }, weights)
      const values = Object.entries(passed.gradients).map(([name, gradient]) => [name, gradient.dataSync()])
      tf.dispose([passed.loss, passed.gradients])
      return values
    }
    const packAll = () => {
      for (let use = 0; use < 2; use++)
        for (const w of Object.values(weights)) if (w.rank === 2) nativeBackend()!.packed(w)
      expect(nativeBackend()!.packed(weights.fc1)).not.toBeNull()
    }
    expect(gradients(packAll)).toEqual(gradients(() => {}))
    tf.dispose([weights, rows])
  })

  it('a reshaped weight is packed in its own shape or not at all', () => {
    const w = owned(2, o, i)
    products(x, w)
    const turned = tf.reshape(w, [i, o])
    const y = tensorFrom(drawn(3, 2 * o), [2, o])
    expect(products(y, turned)).toEqual(fresh(y, turned))
    expect(products(x, w)).toEqual(fresh(x, w))
    tf.dispose([w, turned, y])
  })

  it('who asks for the numbers has them in their order', () => {
    const w = owned(2, o, i)
    for (let round = 0; round < 3; round++) {
      products(x, w)
      expect(w.dataSync()).toEqual(drawn(2, o * i))
      products(x, w)
      expect(tf.tidy(() => tf.transpose(tf.transpose(w)).dataSync())).toEqual(drawn(2, o * i))
    }
    w.dispose()
  })

  it('not where the outputs do not fill panels', () => {
    const w = owned(2, o + 1, i)
    for (let use = 0; use < 3; use++) expect(nativeBackend()!.packed(w)).toBeNull()
    w.dispose()
  })

  it('takes no memory', () => {
    const w = tf.tidy(() => tf.add(owned(2, 704, 64), 1)) as Tensor
    const y = tensorFrom(drawn(4, 3 * 64), [3, 64])
    products(y, w, 1)
    const before = pooled()
    products(y, w)
    expect(pooled()).toBe(before)
    w.dispose()
    expect(pooled()).toBeGreaterThanOrEqual(before + 704 * 64 * 4)
    y.dispose()
  })

  it('the next tensor in the memory of one that was packed is not', () => {
    const y = tensorFrom(drawn(4, 3 * 64), [3, 64])
    for (let round = 0; round < 20; round++) {
      const next = tf.tidy(() => tf.add(owned(5 + round, 704, 64), 1)) as Tensor
      expect(products(y, next, 1 + (round % 3))).toEqual(fresh(y, next))
      next.dispose()
    }
    y.dispose()
  })

  it('writing to the numbers makes them be packed again', () => {
    const w = owned(2, o, i)
    const old = products(x, w)
    liveValues(w)!.fill(0.5)
    expect(products(x, w)).toEqual(fresh(x, w))
    expect(products(x, w)).not.toEqual(old)
    const more = tf.onesLike(w)
    expect(addInPlace(w, more)).toBe(true)
    expect(products(x, w)).toEqual(fresh(x, w))
    tf.dispose([w, more])
  })

  it('a copy that shares the numbers keeps the old ones when the weight is written to', () => {
    const w = owned(2, o, i)
    const copy = tf.clone(w)
    const old = products(x, w)
    liveValues(w)!.fill(0.5)
    expect(products(x, copy)).toEqual(old)
    expect(products(x, w)).toEqual(fresh(x, w))
    tf.dispose([w, copy])
  })

  it('an array that tfjs was given is copied first: its maker may change it', () => {
    const mine = drawn(2, o * i)
    const w = tf.tensor(mine, [o, i])
    const old = products(x, w)
    mine.fill(7)
    expect(products(x, w)).toEqual(old)
    w.dispose()
  })

  it('also where the sum over many inputs is made in slices', () => {
    const w = owned(2, 64, 2500)
    const y = tensorFrom(drawn(3, 3 * 2500), [3, 2500])
    expect(products(y, w)).toEqual(fresh(y, w))
    tf.dispose([w, y])
  })

  it('an evaluation between training steps sees the weights of the moment, and changes no step', () => {
    const { config } = loadConfig('experiments/scenes.yaml', { sets: ['model.stages=1'] })
    const { model } = config
    const { normal, int } = randomStream(1, 'batch')
    const images = Float32Array.from({ length: 4 * model.imageSize ** 2 * 3 }, normal)
    const tokens = Int32Array.from({ length: 4 * 4 * 32 }, (_, at) =>
      at % 32 < 9 ? int(400) + 1 : at % 32 === 9 ? 49407 : 0,
    )
    const evaluate = (params: Params) =>
      tf.tidy(() => {
        const { segments } = encodeImage(params, model, tf.tensor(images, [4, model.imageSize, model.imageSize, 3]))
        return projectImage(params, model, tf.reshape(segments, [-1, model.embedDim]), 'eval').dataSync()
      }) as Float32Array
    const train = (evaluations: number) => {
      const params = initParams(model, 0)
      const optimizer = createAdamW(config.train, params, trainableNames(model))
      const seen: Float32Array[] = []
      const losses = [0, 1, 2].map((step) => {
        for (let n = 0; n < evaluations; n++) {
          const values = evaluate(params)
          if (n === evaluations - 1) {
            const copies = Object.fromEntries(
              Object.entries(params).map(([name, t]) => [name, tf.tensor(t.dataSync().slice(), t.shape, t.dtype)]),
            )
            expect(values).toEqual(evaluate(copies))
            tf.dispose(copies)
            seen.push(values)
          }
        }
        return trainStep({ params, optimizer, config, batch: { images, tokens }, step }).read()['train/loss']
      })
      optimizer.dispose()
      tf.dispose(params)
      return { losses, seen }
    }
    const { losses, seen } = train(3)
    expect(seen[0]).not.toEqual(seen[1])
    expect(losses).toEqual(train(0).losses)
  })
})
