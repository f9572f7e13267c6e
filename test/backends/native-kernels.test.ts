import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { openBackend, type Tensor, tf } from '../../lib/tensor/index.ts'
import { nativeBuilt } from './native-built.ts'

/** Shapes with odd, single and empty axes. */
const axis = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 37 }) },
  { weight: 1, arbitrary: fc.constant(0) },
)
const shapeOf = (rank: { min: number; max: number }) => fc.array(axis, { minLength: rank.min, maxLength: rank.max })
const seeds = fc.integer({ min: 0, max: 1000 })

/** Numbers with a NaN, infinities, zeros and very small and large ones among them. */
function numbers(shape: number[], seed: number, special = false): Float32Array {
  const { normal } = randomStream(seed, 'kernels')
  const out = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, normal)
  if (special)
    [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1e-30, -90, 100].forEach((value, i) => {
      if (out.length > 0) out[(i * 7919 + seed) % out.length] = value
    })
  return out
}

/** What f makes of the same numbers on the cpu backend and here. */
async function onBoth(f: () => Tensor): Promise<[expected: Tensor, actual: Tensor]> {
  await tf.setBackend('cpu')
  const expected = f()
  const copy = { shape: expected.shape, dtype: expected.dtype, values: expected.dataSync() }
  await tf.setBackend('native')
  return [tf.tensor(copy.values, copy.shape, copy.dtype), f()]
}

/** Equal but for rounding; NaN, infinities and shapes exactly. */
async function expectSame(f: () => Tensor, tolerance = 1e-5): Promise<void> {
  const [expected, actual] = await onBoth(f)
  expect(actual.shape).toEqual(expected.shape)
  expect(actual.dtype).toBe(expected.dtype)
  const [a, b] = [expected.dataSync(), actual.dataSync()]
  let largest = 1
  for (const value of a) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value))
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i]) || a[i] === b[i]) continue
    if (!(Math.abs(a[i] - b[i]) <= tolerance * largest)) expect(`${i}: ${b[i]}`).toBe(`${i}: ${a[i]}`)
  }
  tf.dispose([expected, actual])
}

const check = (property: fc.IAsyncProperty<never> | fc.IAsyncProperty<unknown>, numRuns = 25) =>
  fc.assert(property as fc.IAsyncProperty<unknown>, { numRuns })

describe.skipIf(!nativeBuilt())('the kernels of the native backend do what those of the cpu backend do', () => {
  beforeAll(async () => {
    await openBackend({ backend: 'cpu', threads: 1 })
    await openBackend({ backend: 'native', threads: 2 })
  })

  const UNARY = [
    'exp',
    'log',
    'sqrt',
    'rsqrt',
    'square',
    'neg',
    'sigmoid',
    'relu',
    'tanh',
    'erf',
    'abs',
    'step',
    'reciprocal',
  ] as const
  it.each(UNARY)('%s, special values too', (name) =>
    check(
      fc.asyncProperty(shapeOf({ min: 1, max: 3 }), seeds, (shape, seed) =>
        expectSame(() => tf[name](tf.tensor(numbers(shape, seed, true), shape))),
      ),
    ),
  )

  const BINARY = ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'squaredDifference'] as const
  it.each(BINARY)('%s with broadcasting, special values too', (name) =>
    check(
      fc.asyncProperty(
        shapeOf({ min: 1, max: 4 }),
        fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
        seeds,
        (shape, ones, seed) => {
          const a = shape.map((n, i) => (ones[i] ? 1 : n))
          const b = shape.map((n, i) => (ones[i + 4] ? 1 : n)).slice(ones[7] ? 1 : 0)
          return expectSame(() =>
            tf[name](tf.tensor(numbers(a, seed, true), a), tf.tensor(numbers(b, seed + 1, true), b)),
          )
        },
      ),
    ),
  )

  it.each(['sum', 'mean', 'max'] as const)('%s over neighbouring axes', (name) =>
    check(
      fc.asyncProperty(
        shapeOf({ min: 1, max: 4 }),
        fc.nat(3),
        fc.integer({ min: 1, max: 2 }),
        fc.boolean(),
        seeds,
        (shape, first, count, keep, seed) => {
          fc.pre(shape.every((n) => n > 0))
          const axes = [...shape.keys()].slice(first % shape.length, (first % shape.length) + count)
          return expectSame(() => tf[name](tf.tensor(numbers(shape, seed), shape), axes, keep))
        },
      ),
    ),
  )

  it('long sums, and sums down tall matrices', async () => {
    await expectSame(() => tf.sum(tf.tensor(numbers([300000], 1))))
    await expectSame(() => tf.sum(tf.tensor(numbers([5000, 37], 2), [5000, 37]), 0), 1e-4)
  })

  it('a maximum is NaN where there is one', async () => {
    await expectSame(() => tf.max(tf.tensor2d([1, Number.NaN, 3, 4, 5, 6], [2, 3]), 1))
    await expectSame(() => tf.max(tf.tensor2d([1, Number.NaN, 3, 4, 5, 6], [2, 3]), 0))
  })

  it('argMax along any axis', () =>
    check(
      fc.asyncProperty(shapeOf({ min: 1, max: 3 }), fc.nat(2), seeds, (shape, along, seed) => {
        fc.pre(shape.every((n) => n > 0))
        return expectSame(() => tf.argMax(tf.tensor(numbers(shape, seed), shape), along % shape.length))
      }),
    ))

  it('softmax', () =>
    check(
      fc.asyncProperty(shapeOf({ min: 1, max: 3 }), seeds, (shape, seed) => {
        fc.pre(shape.every((n) => n > 0))
        return expectSame(() => tf.softmax(tf.tensor(numbers(shape, seed), shape)))
      }),
    ))

  it('products of matrices, alone and in batches, either side transposed', () =>
    check(
      fc.asyncProperty(
        fc.tuple(axis, axis, axis),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        fc.boolean(),
        seeds,
        ([m, n, k], batch, ta, tb, seed) => {
          const a = [batch, ...(ta ? [k, m] : [m, k])]
          const b = [batch, ...(tb ? [n, k] : [k, n])]
          fc.pre(m * n * k > 0)
          return expectSame(() => tf.matMul(tf.tensor(numbers(a, seed), a), tf.tensor(numbers(b, seed + 1), b), ta, tb))
        },
      ),
      60,
    ))

  it.each([
    [3, 2000, 5],
    [130, 300, 1100],
    [700, 33, 64],
    [65, 1500, 17],
    [14, 64, 32],
    [40, 1024, 40],
  ])('a product of %i x %i x %i, which is cut into pieces', (m, k, n) =>
    expectSame(() => tf.matMul(tf.tensor2d(numbers([m, k], 1), [m, k]), tf.tensor2d(numbers([k, n], 2), [k, n])), 2e-5),
  )

  it('NaN in a product stays in its row', () =>
    expectSame(() => {
      const x = numbers([20, 30], 3)
      x[35] = Number.NaN
      return tf.matMul(tf.tensor2d(x, [20, 30]), tf.tensor2d(numbers([30, 20], 4), [30, 20]))
    }))

  it('transposition of up to five axes', () =>
    check(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat()),
        seeds,
        (shape, order, seed) => {
          const keys = shape.map((_, i) => [order.next().value as number, i])
          const perm = keys.sort((a, b) => a[0] - b[0]).map(([, i]) => i)
          return expectSame(() => tf.transpose(tf.tensor(numbers(shape, seed), shape), perm))
        },
      ),
      60,
    ))

  it('slices, and padding, which is their gradient', () =>
    check(
      fc.asyncProperty(
        shapeOf({ min: 1, max: 4 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 }),
        seeds,
        async (shape, parts, seed) => {
          const begin = shape.map((n, i) => Math.floor(parts[i] * n * 0.9))
          const size = shape.map((n, i) => Math.ceil((n - begin[i]) * parts[i + 4]))
          await expectSame(() => tf.slice(tf.tensor(numbers(shape, seed), shape), begin, size))
          const paddings = begin.map((from, i) => [from, size[i]] as [number, number])
          await expectSame(() => tf.pad(tf.tensor(numbers(shape, seed), shape), paddings, 0.5))
        },
      ),
      40,
    ))

  it('concatenation, splitting, stacking, tiling', async () => {
    const [a, b] = [numbers([3, 5, 7], 1), numbers([3, 2, 7], 2)]
    await expectSame(() => tf.concat([tf.tensor(a, [3, 5, 7]), tf.tensor(b, [3, 2, 7])], 1))
    await expectSame(() => tf.split(tf.tensor(a, [3, 5, 7]), [1, 4], 1)[1])
    await expectSame(() => tf.stack([tf.tensor(a, [3, 5, 7]), tf.tensor(a, [3, 5, 7])], 2))
    await expectSame(() => tf.tile(tf.tensor(a, [3, 5, 7]), [2, 1, 1]))
    await expectSame(() => tf.tile(tf.tensor(a, [3, 5, 7]), [1, 2, 3]))
  })

  it('rows by number, sums by number, casts', async () => {
    const table = numbers([20, 7], 1)
    await expectSame(() =>
      tf.gather(
        tf.tensor2d(table, [20, 7]),
        tf.tensor2d(
          [
            [1, 19],
            [0, 1],
          ],
          [2, 2],
          'int32',
        ),
      ),
    )
    await expectSame(() =>
      tf.unsortedSegmentSum(
        tf.tensor2d(table, [20, 7]),
        tf.range(0, 20, 1, 'int32').mod(tf.scalar(6, 'int32')) as tf.Tensor1D,
        5,
      ),
    )
    await expectSame(() => tf.cast(tf.tensor1d([1, 0, 3], 'int32'), 'float32'))
    expect(() => tf.gather(tf.tensor2d(table, [20, 7]), tf.tensor1d([20], 'int32'))).toThrow(/not in/)
  })

  it('bilinear resizing, up and down, all conventions', () =>
    check(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 5, maxLength: 5 }),
        fc.integer({ min: 0, max: 2 }),
        seeds,
        ([h, w, c, y, x], mode, seed) =>
          expectSame(() =>
            tf.image.resizeBilinear(
              tf.tensor4d(numbers([2, h, w, c], seed), [2, h, w, c]),
              [y, x],
              mode === 1,
              mode === 2,
            ),
          ),
      ),
    ))
})
