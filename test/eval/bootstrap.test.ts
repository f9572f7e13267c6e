import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { bootstrapInterval, type PerImage, pairedBootstrap } from '../../lib/eval/bootstrap.ts'
import type { ClassCount } from '../../lib/eval/confusion.ts'

/** Images of 1,000 pixels with some of 13 classes, of which about `skill` are found. */
function evaluation(images: number, skill: number, seed: number): PerImage {
  return Array.from({ length: images }, (_, i) => {
    const classes = randomStream(0, 'classes', i)
      .shuffle(Array.from({ length: 13 }, (_, c) => c))
      .slice(0, 4)
    const noise = randomStream(seed, 'noise', i)
    const counts = classes.map((c): ClassCount => {
      const found = Math.round(250 * Math.min(1, Math.max(0, skill + 0.2 * noise.normal())))
      return [c, found, 250, 250]
    })
    return { id: `image${i}`, counts }
  })
}

test('a real difference has an interval without zero and a small p', () => {
  const result = pairedBootstrap(evaluation(200, 0.5, 1), evaluation(200, 0.56, 2), 13)
  expect(result.difference).toBeGreaterThan(0)
  expect(result.interval[0]).toBeGreaterThan(0)
  expect(result.interval[0]).toBeLessThan(result.difference)
  expect(result.interval[1]).toBeGreaterThan(result.difference)
  expect(result.p).toBeLessThan(0.01)
  expect(result.perClass).toHaveLength(13)
})

test('a run differs from itself by nothing', () => {
  const run = evaluation(50, 0.5, 1)
  expect(pairedBootstrap(run, run, 13)).toMatchObject({ difference: 0, interval: [0, 0], p: 1 })
})

test('equal skill is called a difference in about 5 of 100 cases', { timeout: 120_000 }, () => {
  const rate = (pairs: number, shown: (run: PerImage) => PerImage) => {
    let alarms = 0
    for (let i = 0; i < pairs; i++) {
      const [a, b] = [evaluation(100, 0.5, 2 * i), evaluation(100, 0.5, 2 * i + 1)]
      if (pairedBootstrap(shown(a), shown(b), 13, { resamples: 400 }).p < 0.05) alarms++
    }
    return alarms / pairs
  }
  // The seeds are fixed, so this is one number, 6.7 %; over 6,000 pairs it is 5.45 % (docs/evaluation.md).
  const alone = rate(1000, (run) => run)
  expect(alone).toBeGreaterThan(0.03)
  expect(alone).toBeLessThan(0.075)
  // What the bound is good for: images that count twice, as a bootstrap that forgot their dependence would have them.
  const twice = (run: PerImage) => [...run, ...run.map(({ id, counts }) => ({ id: `${id} again`, counts }))]
  expect(rate(300, twice)).toBeGreaterThan(0.15)
})

test('images are matched by id, and none in common is an error', () => {
  const [a, b] = [evaluation(10, 0.5, 1), evaluation(12, 0.5, 1).reverse()]
  expect(pairedBootstrap(a, b, 13, { resamples: 100 })).toMatchObject({ images: 10, difference: 0 })
  expect(() => pairedBootstrap(a, [{ id: 'other', counts: [] }], 13)).toThrow(/no image in common/)
})

test('the same seed draws the same images', () => {
  const [a, b] = [evaluation(60, 0.4, 1), evaluation(60, 0.5, 2)]
  expect(pairedBootstrap(a, b, 13, { seed: 4 })).toEqual(pairedBootstrap(a, b, 13, { seed: 4 }))
})

test('10,000 resamples of 500 images take about a second', () => {
  const [a, b] = [evaluation(500, 0.4, 1), evaluation(500, 0.5, 2)]
  const start = performance.now()
  expect(pairedBootstrap(a, b, 13).resamples).toBe(10_000)
  expect(performance.now() - start).toBeLessThan(8000) // shared machines; alone it is 0.5 s
})

test('the interval of an mIoU holds the mIoU', () => {
  const run = evaluation(100, 0.5, 1)
  const [low, high] = bootstrapInterval(run, 13, { resamples: 1000 })
  expect(low).toBeLessThan(high)
  expect(low).toBeGreaterThan(0.2)
  expect(high).toBeLessThan(0.6)
})
