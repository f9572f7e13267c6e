import { randomStream } from '../core/rng.ts'
import { type ClassCount, nanMean } from './confusion.ts'

/**
 * Is a difference of two mIoUs real? Paired bootstrap over images: the same images are drawn with replacement for both
 * runs, their areas are summed and the difference of the mIoUs is taken, many times.
 */

export type PerImage = { id: string; counts: ClassCount[] }[]

export type Difference = {
  images: number
  resamples: number
  /** mIoU of b minus mIoU of a over all images, as a fraction. */
  difference: number
  /** Interval of the resampled differences that holds 95 % of them. */
  interval: [low: number, high: number]
  /** Two-sided: how often a resample has the other sign, twice, never below 1 / resamples. */
  p: number
  /** The same for each class: difference of the IoUs and its interval; NaN where a class is missing. */
  perClass: { difference: number; interval: [number, number] }[]
}

const RESAMPLES = 10_000

/**
 * Compares two evaluations of the same images. Images are matched by id; ids of one side alone are left out.
 * Throws when no image is common.
 */
export function pairedBootstrap(
  a: PerImage,
  b: PerImage,
  classes: number,
  options: { seed?: number; resamples?: number } = {},
): Difference {
  const resamples = options.resamples ?? RESAMPLES
  const ofB = new Map(b.map((image) => [image.id, image.counts]))
  const pairs = a.flatMap((image) => {
    const counts = ofB.get(image.id)
    return counts ? [{ a: image.counts, b: counts }] : []
  })
  if (pairs.length === 0) throw new Error('pairedBootstrap: the two evaluations have no image in common')
  const left = sparse(pairs.map((pair) => pair.a))
  const right = sparse(pairs.map((pair) => pair.b))
  const sums = [new Float64Array(2 * classes), new Float64Array(2 * classes)]
  const differenceOf = (weights: Uint16Array, perClass: Float64Array): number => {
    addWeighted(left, weights, sums[0])
    addWeighted(right, weights, sums[1])
    let meanA = 0
    let meanB = 0
    let presentA = 0
    let presentB = 0
    for (let c = 0; c < classes; c++) {
      const iouA = sums[0][2 * c] / sums[0][2 * c + 1]
      const iouB = sums[1][2 * c] / sums[1][2 * c + 1]
      if (!Number.isNaN(iouA)) {
        meanA += iouA
        presentA++
      }
      if (!Number.isNaN(iouB)) {
        meanB += iouB
        presentB++
      }
      perClass[c] = iouB - iouA
    }
    return meanB / presentB - meanA / presentA
  }

  const perClassAll = new Float64Array(classes)
  const difference = differenceOf(new Uint16Array(pairs.length).fill(1), perClassAll)
  const stream = randomStream(options.seed ?? 0, 'bootstrap', pairs.length)
  const differences = new Float64Array(resamples)
  const perClass = Array.from({ length: classes }, () => new Float64Array(resamples))
  const row = new Float64Array(classes)
  const weights = new Uint16Array(pairs.length)
  for (let r = 0; r < resamples; r++) {
    weights.fill(0)
    for (let i = 0; i < pairs.length; i++) weights[stream.int(pairs.length)]++
    differences[r] = differenceOf(weights, row)
    for (let c = 0; c < classes; c++) perClass[c][r] = row[c]
  }
  let below = 0
  for (const d of differences) if (d <= 0) below++
  let above = 0
  for (const d of differences) if (d >= 0) above++
  return {
    images: pairs.length,
    resamples,
    difference,
    interval: interval95(differences),
    p: Math.min(1, Math.max(1, 2 * Math.min(below, above)) / resamples),
    perClass: perClass.map((values, c) => ({ difference: perClassAll[c], interval: interval95(values) })),
  }
}

/** Interval of an mIoU itself: images drawn with replacement. */
export function bootstrapInterval(
  images: PerImage,
  classes: number,
  options: { seed?: number; resamples?: number } = {},
): [low: number, high: number] {
  const resamples = options.resamples ?? RESAMPLES
  const counts = sparse(images.map((image) => image.counts))
  const stream = randomStream(options.seed ?? 0, 'bootstrap', images.length)
  const weights = new Uint16Array(images.length)
  const sums = new Float64Array(2 * classes)
  const values = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++) {
    weights.fill(0)
    for (let i = 0; i < images.length; i++) weights[stream.int(images.length)]++
    addWeighted(counts, weights, sums)
    values[r] = nanMean(Array.from({ length: classes }, (_, c) => sums[2 * c] / sums[2 * c + 1]))
  }
  return interval95(values)
}

/** The counts of all images in one list: image, class, intersect, union. */
type Sparse = { image: Int32Array; cls: Int32Array; intersect: Float64Array; union: Float64Array }

function sparse(images: readonly (readonly ClassCount[])[]): Sparse {
  const flat = images.flatMap((counts, image) => counts.map((count) => [image, ...count]))
  return {
    image: Int32Array.from(flat, (entry) => entry[0]),
    cls: Int32Array.from(flat, (entry) => entry[1]),
    intersect: Float64Array.from(flat, (entry) => entry[2]),
    union: Float64Array.from(flat, (entry) => entry[3] + entry[4] - entry[2]),
  }
}

/** `into` becomes [intersect, union] of each class, images weighted by how often they were drawn. */
function addWeighted(counts: Sparse, weights: Uint16Array, into: Float64Array): void {
  into.fill(0)
  const { image, cls, intersect, union } = counts
  for (let i = 0; i < image.length; i++) {
    const weight = weights[image[i]]
    if (weight === 0) continue
    const c = 2 * cls[i]
    into[c] += weight * intersect[i]
    into[c + 1] += weight * union[i]
  }
}

/** 2.5 % and 97.5 % points of what is not NaN. */
function interval95(values: Float64Array): [number, number] {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort()
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN
  return [at(0.025), at(0.975)]
}
