/**
 * One metric of one run in bounded memory: buckets of neighbouring points that keep their least, their greatest and their mean,
 * so that a spike survives however long the run is. The result depends on the points alone, never on how they were batched.
 */
export type Series = {
  /** Points in a full bucket, a power of two: doubled whenever the buckets are too many. */
  span: number
  /**
   * The full buckets, of which this series has the first `full`. A series that grows out of it goes on in the same lists: one more point
   * costs no copy of the others.
   */
  columns: Columns
  full: number
  /** The bucket that is being filled. */
  open: Bucket | null
  lastStep: number
  last: number
}

export type Bucket = {
  /** Step and time (ms since the epoch) of its first point. */
  step: number
  time: number
  /** Of the finite points; NaN where there are none. */
  min: number
  max: number
  sum: number
  finite: number
  /** All points, finite or not. */
  count: number
}

/** Lists of numbers take a third of the memory of a list of buckets. */
type Columns = Record<keyof Bucket, number[]>

export type Point = { step: number; time: number; value: number }

/** Buckets of a series: more than twice the dots of a 200-column chart. */
export const SERIES_CAP = 512

const columnsOf = (buckets: readonly Bucket[]): Columns => ({
  step: buckets.map(({ step }) => step),
  time: buckets.map(({ time }) => time),
  min: buckets.map(({ min }) => min),
  max: buckets.map(({ max }) => max),
  sum: buckets.map(({ sum }) => sum),
  finite: buckets.map(({ finite }) => finite),
  count: buckets.map(({ count }) => count),
})

/** Without a list of its own: the first point makes one. */
export const EMPTY_SERIES: Series = {
  span: 1,
  columns: columnsOf([]),
  full: 0,
  open: null,
  lastStep: -Infinity,
  last: Number.NaN,
}

/** A new series with the points added. A point that is not beyond the last step is a repetition and is left out. */
export function addPoints(series: Series, points: readonly Point[], cap = SERIES_CAP): Series {
  let { span, columns, full, open, lastStep, last } = series
  // what another series wrote behind this one's part of the lists is not this one's
  if (full === 0 || columns.step.length > full) columns = columnsOf(fullBuckets(series))
  for (const point of points) {
    if (point.step <= lastStep) continue
    lastStep = point.step
    last = point.value
    open = open === null ? bucketOf(point) : merged(open, bucketOf(point))
    if (open.count >= span) {
      append(columns, open)
      full += 1
      open = null
    }
    if (full + (open === null ? 0 : 1) > cap) {
      const pairs = pairsOf(bucketsOf({ span, columns, full, open, lastStep, last }))
      span *= 2
      open = pairs[pairs.length - 1].count < span ? pairs.pop()! : null
      columns = columnsOf(pairs)
      full = pairs.length
    }
  }
  return { span, columns, full, open, lastStep, last }
}

const bucketOf = ({ step, time, value }: Point): Bucket =>
  Number.isFinite(value)
    ? { step, time, min: value, max: value, sum: value, finite: 1, count: 1 }
    : { step, time, min: Number.NaN, max: Number.NaN, sum: 0, finite: 0, count: 1 }

const merged = (a: Bucket, b: Bucket): Bucket => ({
  step: a.step,
  time: a.time,
  min: ofTwo(a.min, b.min, Math.min),
  max: ofTwo(a.max, b.max, Math.max),
  sum: a.sum + b.sum,
  finite: a.finite + b.finite,
  count: a.count + b.count,
})

const ofTwo = (a: number, b: number, choose: (a: number, b: number) => number): number =>
  Number.isNaN(a) ? b : Number.isNaN(b) ? a : choose(a, b)

function append(columns: Columns, bucket: Bucket): void {
  columns.step.push(bucket.step)
  columns.time.push(bucket.time)
  columns.min.push(bucket.min)
  columns.max.push(bucket.max)
  columns.sum.push(bucket.sum)
  columns.finite.push(bucket.finite)
  columns.count.push(bucket.count)
}

function pairsOf(buckets: readonly Bucket[]): Bucket[] {
  const pairs: Bucket[] = []
  for (let i = 0; i < buckets.length; i += 2)
    pairs.push(i + 1 < buckets.length ? merged(buckets[i], buckets[i + 1]) : buckets[i])
  return pairs
}

/** The series without what lies beyond `step`: a resumed run goes on from its checkpoint, and says those points again. */
export function cutSeries(series: Series, step: number): Series {
  if (series.lastStep <= step) return series
  const { span } = series
  const kept = bucketsOf(series).filter((bucket) => bucket.step <= step)
  if (kept.length === 0) return { ...EMPTY_SERIES, span }
  const end = kept[kept.length - 1]
  const open = end.count < span ? kept.pop()! : null
  return { span, columns: columnsOf(kept), full: kept.length, open, lastStep: step, last: bucketMean(end) }
}

/** All buckets of a series, oldest first. */
export function bucketsOf(series: Series): Bucket[] {
  const buckets = fullBuckets(series)
  if (series.open !== null) buckets.push(series.open)
  return buckets
}

const fullBuckets = (series: Series): Bucket[] => Array.from({ length: series.full }, (_, i) => bucketAt(series, i))

const bucketAt = ({ columns }: Series, i: number): Bucket => ({
  step: columns.step[i],
  time: columns.time[i],
  min: columns.min[i],
  max: columns.max[i],
  sum: columns.sum[i],
  finite: columns.finite[i],
  count: columns.count[i],
})

export const firstBucket = (series: Series): Bucket | null => (series.full > 0 ? bucketAt(series, 0) : series.open)
export const lastBucket = (series: Series): Bucket | null =>
  series.open ?? (series.full > 0 ? bucketAt(series, series.full - 1) : null)

/** Mean of a bucket; NaN where every point of it was NaN or infinite. */
export const bucketMean = ({ sum, finite }: Bucket): number => (finite === 0 ? Number.NaN : sum / finite)
