import jStat from 'jstat'

/**
 * Is a difference of two configurations larger than what seeds do? Welch's t-test (Welch 1947): the runs of a
 * configuration are a sample, and the two samples may vary by different amounts. Two or three seeds are too few for a
 * permutation test: with three against three its smallest two-sided p is 2 / 20, so it could never reject at 5 %.
 */

export type SeedsTest = {
  /** Mean of b minus mean of a. */
  difference: number
  /** Interval that holds the difference of the means of all seeds with 95 %, if the values of seeds are normal. */
  interval: [low: number, high: number]
  /** Two-sided. */
  p: number
  /** Degrees of freedom by Welch and Satterthwaite, at least min(n) − 1. */
  degreesOfFreedom: number
}

/** Mean, and sample standard deviation (n − 1), which one value alone has not. */
export function spreadOf(values: readonly number[]): { mean: number; std: number | null } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  if (values.length < 2) return { mean, std: null }
  return { mean, std: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)) }
}

/**
 * Welch's t-test of two configurations, each with one value a seed. Null where nothing can be said: fewer than two
 * values on a side, a value that is not finite, or values that do not vary at all.
 */
export function welchTest(a: readonly number[], b: readonly number[]): SeedsTest | null {
  const [left, right] = [spreadOf(a), spreadOf(b)]
  if (left.std === null || right.std === null) return null
  const [varianceA, varianceB] = [left.std ** 2 / a.length, right.std ** 2 / b.length]
  const variance = varianceA + varianceB
  if (!(variance > 0) || !Number.isFinite(variance)) return null
  const degreesOfFreedom = variance ** 2 / (varianceA ** 2 / (a.length - 1) + varianceB ** 2 / (b.length - 1))
  const difference = right.mean - left.mean
  const error = Math.sqrt(variance)
  const reach = jStat.studentt.inv(0.975, degreesOfFreedom) * error
  return {
    difference,
    interval: [difference - reach, difference + reach],
    p: Math.min(1, 2 * jStat.studentt.cdf(-Math.abs(difference) / error, degreesOfFreedom)),
    degreesOfFreedom,
  }
}
