import fc from 'fast-check'
import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'

test('a stream is a function of its key', () => {
  fc.assert(
    fc.property(fc.integer(), fc.array(fc.oneof(fc.integer(), fc.string())), (seed, key) => {
      const a = randomStream(seed, ...key)
      const b = randomStream(seed, ...key)
      for (let i = 0; i < 20; i++) expect(a.uniform()).toBe(b.uniform())
    }),
  )
})

test('streams with neighbouring keys are uncorrelated', () => {
  const n = 4000
  for (const [left, right] of [
    [
      [0, 'a'],
      [1, 'a'],
    ],
    [
      [0, 'a', 1],
      [0, 'a', 2],
    ],
    [
      [0, 'ab', 'c'],
      [0, 'a', 'bc'],
    ],
  ] as [number, ...string[]][][]) {
    const a = randomStream(...(left as [number, string]))
    const b = randomStream(...(right as [number, string]))
    let correlation = 0
    for (let i = 0; i < n; i++) correlation += (a.uniform() - 0.5) * (b.uniform() - 0.5)
    // standard deviation of the mean product is 1/12/sqrt(n) = 0.0013
    expect(Math.abs(correlation / n)).toBeLessThan(0.0066)
  }
})

test('the first numbers of a thousand neighbouring seeds are uniform', () => {
  const counts = new Array(10).fill(0)
  for (let seed = 0; seed < 10000; seed++) counts[randomStream(seed, 'sample').int(10)]++
  const chi2 = counts.reduce((sum, c) => sum + (c - 1000) ** 2 / 1000, 0)
  expect(chi2).toBeLessThan(30) // 9 degrees of freedom: p < 0.0005 beyond
})

test('normal numbers have mean 0 and deviation 1', () => {
  const stream = randomStream(3, 'normal')
  const xs = Array.from({ length: 20000 }, () => stream.normal())
  const mean = xs.reduce((a, b) => a + b, 0) / xs.length
  const variance = xs.reduce((a, b) => a + (b - mean) ** 2, 0) / xs.length
  expect(Math.abs(mean)).toBeLessThan(0.03)
  expect(Math.abs(variance - 1)).toBeLessThan(0.05)
})

test('shuffle keeps every item and pick refuses an empty list', () => {
  const items = Array.from({ length: 100 }, (_, i) => i)
  const shuffled = randomStream(1, 'x').shuffle(items)
  expect(shuffled).not.toEqual(items)
  expect([...shuffled].sort((a, b) => a - b)).toEqual(items)
  expect(() => randomStream(1).pick([])).toThrow('empty')
})
