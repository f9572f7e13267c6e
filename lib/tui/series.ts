/**
 * One metric of one run in bounded memory: buckets of neighbouring points that keep their least, their greatest and their mean,
 * so that a spike survives however long the run is. The result depends on the points alone, never on how they were batched.
 */
export type Series = {
  /** Points in a full bucket, a power of two: doubled whenever the buckets are too many. */
  span: number
  /** Step and time (ms since the epoch) of the first point of each bucket. */
  step: readonly number[]
  time: readonly number[]
  /** Of the finite points; NaN in a bucket that has none. */
  min: readonly number[]
  max: readonly number[]
  sum: readonly number[]
  finite: readonly number[]
  /** All points of the bucket, finite or not. */
  count: readonly number[]
  lastStep: number
  last: number
}

export type Point = { step: number; time: number; value: number }

/** Buckets of a series: more than twice the dots of a 200-column chart. */
export const SERIES_CAP = 512

export const EMPTY_SERIES: Series = {
  span: 1,
  step: [],
  time: [],
  min: [],
  max: [],
  sum: [],
  finite: [],
  count: [],
  lastStep: -Infinity,
  last: Number.NaN,
}

type Columns = { -readonly [K in Exclude<keyof Series, 'span' | 'lastStep' | 'last'>]: number[] }

/** A new series with the points added. A point that is not beyond the last step is a repetition and is left out. */
export function addPoints(series: Series, points: readonly Point[], cap = SERIES_CAP): Series {
  const columns: Columns = {
    step: [...series.step],
    time: [...series.time],
    min: [...series.min],
    max: [...series.max],
    sum: [...series.sum],
    finite: [...series.finite],
    count: [...series.count],
  }
  let { span, lastStep, last } = series
  for (const point of points) {
    if (point.step <= lastStep) continue
    lastStep = point.step
    last = point.value
    addPoint(columns, point, span)
    if (columns.step.length > cap) {
      mergePairs(columns)
      span *= 2
    }
  }
  return { span, ...columns, lastStep, last }
}

function addPoint(columns: Columns, { step, time, value }: Point, span: number): void {
  let i = columns.step.length - 1
  if (i < 0 || columns.count[i] >= span) {
    i += 1
    columns.step[i] = step
    columns.time[i] = time
    columns.min[i] = Number.NaN
    columns.max[i] = Number.NaN
    columns.sum[i] = 0
    columns.finite[i] = 0
    columns.count[i] = 0
  }
  columns.count[i] += 1
  if (!Number.isFinite(value)) return
  columns.finite[i] += 1
  columns.sum[i] += value
  columns.min[i] = columns.min[i] < value ? columns.min[i] : value
  columns.max[i] = columns.max[i] > value ? columns.max[i] : value
}

function mergePairs(columns: Columns): void {
  const { step, time, min, max, sum, finite, count } = columns
  const half = Math.ceil(step.length / 2)
  for (let i = 0; i < half; i++) {
    const [a, b] = [2 * i, 2 * i + 1]
    const pair = b < step.length
    step[i] = step[a]
    time[i] = time[a]
    min[i] = pair ? ofTwo(min[a], min[b], Math.min) : min[a]
    max[i] = pair ? ofTwo(max[a], max[b], Math.max) : max[a]
    sum[i] = sum[a] + (pair ? sum[b] : 0)
    finite[i] = finite[a] + (pair ? finite[b] : 0)
    count[i] = count[a] + (pair ? count[b] : 0)
  }
  for (const column of Object.values(columns)) column.length = half
}

const ofTwo = (a: number, b: number, choose: (a: number, b: number) => number): number =>
  Number.isNaN(a) ? b : Number.isNaN(b) ? a : choose(a, b)

/** The series without what lies beyond `step`: a resumed run goes on from its checkpoint, and says those points again. */
export function cutSeries(series: Series, step: number): Series {
  if (series.lastStep <= step) return series
  let keep = series.step.length
  while (keep > 0 && series.step[keep - 1] > step) keep--
  const head = <T>(column: readonly T[]) => column.slice(0, keep)
  return {
    span: series.span,
    step: head(series.step),
    time: head(series.time),
    min: head(series.min),
    max: head(series.max),
    sum: head(series.sum),
    finite: head(series.finite),
    count: head(series.count),
    lastStep: keep === 0 ? -Infinity : step,
    last: keep === 0 ? Number.NaN : series.sum[keep - 1] / series.finite[keep - 1],
  }
}

/** Mean of a bucket; NaN where every point of it was NaN or infinite. */
export const bucketMean = (series: Series, i: number): number =>
  series.finite[i] === 0 ? Number.NaN : series.sum[i] / series.finite[i]
