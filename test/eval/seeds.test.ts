import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { spreadOf, welchTest } from '../../lib/eval/seeds.ts'

// p, degrees of freedom and interval of scipy 1.x: ttest_ind(b, a, equal_var=False) and its confidence_interval().
test.each([
  {
    a: [43.8, 45.0, 44.2],
    b: [41.9, 12.4, 48.0],
    p: 0.45016888732429383,
    df: 2.0041198768150443,
    interval: [-36.99253772091516, 57.45920438758183],
  },
  {
    a: [0.44, 0.48],
    b: [0.31, 0.29],
    p: 0.04058326940961839,
    df: 1.4705882352941184,
    interval: [0.021629543398578782, 0.29837045660142114],
  },
  {
    a: [0.401, 0.423, 0.397, 0.431],
    b: [0.377, 0.402, 0.381],
    p: 0.06897584638581584,
    df: 4.908782617116481,
    interval: [-0.003001504569641905, 0.055668171236308545],
  },
])('Welch as scipy has it: $a against $b', ({ a, b, p, df, interval }) => {
  const result = welchTest(b, a)! // scipy's difference is first minus second, ours second minus first
  expect(result.p).toBeCloseTo(p, 6)
  expect(result.degreesOfFreedom).toBeCloseTo(df, 9)
  expect(result.interval[0]).toBeCloseTo(interval[0], 4)
  expect(result.interval[1]).toBeCloseTo(interval[1], 4)
})

test('one seed, a diverged run and values without spread say nothing', () => {
  expect(welchTest([1], [2, 3])).toBeNull()
  expect(welchTest([1, 2], [Number.NaN, 3])).toBeNull()
  expect(welchTest([1, 1], [2, 2])).toBeNull()
  expect(welchTest([1, 1], [2, 3])).not.toBeNull()
  expect(spreadOf([5])).toEqual({ mean: 5, std: null })
})

test('three seeds of equal skill are called different in at most 5 of 100 cases, of unequal spread as well', () => {
  const trials = 4000
  const rate = (spread: number) => {
    let alarms = 0
    for (let i = 0; i < trials; i++) {
      const noise = randomStream(i, 'seeds')
      const sample = (std: number) => [0, 1, 2].map(() => 40 + std * noise.normal())
      if (welchTest(sample(1), sample(spread))!.p < 0.05) alarms++
    }
    return alarms / trials
  }
  // Welch is conservative with so few; four standard errors are 1.4 %.
  for (const spread of [1, 5]) {
    expect(rate(spread)).toBeGreaterThan(0.015)
    expect(rate(spread)).toBeLessThan(0.064)
  }
})
