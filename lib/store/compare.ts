import { pairedBootstrap } from '../eval/bootstrap.ts'
import { type ImageCounts, unpackCounts } from './counts.ts'
import type { Store } from './open.ts'
import { type Evaluation, evaluationsOf, getRun, type Run, type Summary, seriesOf, summariesOf } from './runs.ts'

type ComparedMetric = {
  name: string
  /** One entry a run; null where the run does not know the metric. */
  runs: (null | { last: number; lastStep: number; best: number; bestStep: number | null })[]
}

/** Two final evaluations of the same images under the same protocol. */
type Interval = {
  a: string
  b: string
  dataset: string
  images: number
  difference: number
  interval: [low: number, high: number]
  p: number
}

export type Comparison = {
  runs: Run[]
  /** Keys whose values differ among the runs, with the value of each. */
  config: { key: string; values: (string | null)[] }[]
  metrics: ComparedMetric[]
  /** Results of the newest final evaluation of each run, by dataset; null where there is none. */
  results: { dataset: string; comparable: boolean; evaluations: (Evaluation | null)[] }[]
  classes: { dataset: string; rows: { name: string; iou: number[] }[] }[]
  /** First run against each other, where both have the counts of the same images. */
  intervals: Interval[]
  /** Steps that all runs have done, and to which the metrics are cut with `trim`. */
  upTo: number | null
}

/** Metrics of which smaller is better. */
const isLoss = (name: string): boolean => /loss|contrastive|multiLabel|dataWait/i.test(name)

/**
 * What differs between runs.
 * @param atStep only what was known at this step
 * @param trim cut all runs to the steps that every one has done
 * @param bootstrap whether to compute the intervals, which take most of the time
 */
export function compareRuns(
  store: Store,
  ids: readonly number[],
  { atStep, trim = false, bootstrap = true }: { atStep?: number; trim?: boolean; bootstrap?: boolean } = {},
): Comparison {
  const runs = ids.map((id) => getRun(store, id))
  const upTo = atStep ?? (trim ? Math.min(...runs.map((run) => run.step)) : null)
  const finals = runs.map((run) => evaluationsOf(store, run.id).filter((e) => e.purpose === 'final'))
  const datasets = [...new Set(finals.flat().map((e) => e.dataset))]
  const results = datasets.map((dataset) => {
    const evaluations = finals.map((list) => list.find((e) => e.dataset === dataset) ?? null)
    const protocols = new Set(evaluations.flatMap((e) => e?.protocol ?? []))
    return { dataset, comparable: protocols.size <= 1, evaluations }
  })
  return {
    runs,
    config: configDifferences(runs),
    metrics: compareMetrics(store, runs, upTo),
    results,
    classes: results.flatMap(classRows),
    intervals: bootstrap ? results.flatMap((result) => intervalsOf(runs, result.dataset, result.evaluations)) : [],
    upTo,
  }
}

function configDifferences(runs: Run[]): Comparison['config'] {
  const keys = [...new Set(runs.flatMap((run) => Object.keys(run.params)))]
  return keys
    .map((key) => ({ key, values: runs.map((run) => run.params[key] ?? null) }))
    .filter(({ key, values }) => key !== 'name' && values.some((value) => value !== values[0]))
}

function compareMetrics(store: Store, runs: Run[], upTo: number | null): ComparedMetric[] {
  const summaries = runs.map((run) => {
    const list = upTo === null ? summariesOf(store, run.id) : cutSummaries(store, run.id, upTo)
    return new Map(list.map((summary) => [summary.name, summary]))
  })
  const names = [...new Set(summaries.flatMap((map) => [...map.keys()]))].sort()
  return names.map((name) => ({
    name,
    runs: summaries.map((map) => {
      const summary = map.get(name)
      if (!summary) return null
      const loss = isLoss(name)
      return {
        last: summary.last,
        lastStep: summary.lastStep,
        best: loss ? summary.min : summary.max,
        bestStep: loss ? summary.minStep : summary.maxStep,
      }
    }),
  }))
}

/** Summaries as they were at a step; needs the points. */
function cutSummaries(store: Store, run: number, upTo: number): Summary[] {
  return summariesOf(store, run).flatMap((whole) => {
    const { steps, values } = seriesOf(store, run, whole.name, { upTo })
    if (steps.length === 0) return []
    const finite = steps.map((step, i) => ({ step, value: values[i] })).filter((p) => Number.isFinite(p.value))
    const least = finite.reduce<null | (typeof finite)[0]>((a, b) => (a === null || b.value < a.value ? b : a), null)
    const most = finite.reduce<null | (typeof finite)[0]>((a, b) => (a === null || b.value > a.value ? b : a), null)
    return [
      {
        name: whole.name,
        count: steps.length,
        nonFinite: steps.length - finite.length,
        first: values[0],
        firstStep: steps[0],
        last: values.at(-1)!,
        lastStep: steps.at(-1)!,
        min: least?.value ?? Number.NaN,
        minStep: least?.step ?? null,
        max: most?.value ?? Number.NaN,
        maxStep: most?.step ?? null,
      },
    ]
  })
}

function classRows({ dataset, evaluations }: Comparison['results'][0]): Comparison['classes'] {
  const names = evaluations.find((e) => e !== null)?.classNames
  if (!names || evaluations.some((e) => e !== null && e.classNames.join('\0') !== names.join('\0'))) return []
  return [{ dataset, rows: names.map((name, c) => ({ name, iou: evaluations.map((e) => e?.iou[c] ?? Number.NaN) })) }]
}

function intervalsOf(runs: Run[], dataset: string, evaluations: (Evaluation | null)[]): Interval[] {
  const first = evaluations[0]
  if (!first?.counts) return []
  let counts: ImageCounts | null = null
  return evaluations.slice(1).flatMap((other, i) => {
    if (!other?.counts || other.protocol !== first.protocol) return []
    counts ??= unpackCounts(first.counts!)
    const result = pairedBootstrap(counts, unpackCounts(other.counts), first.classNames.length)
    return [
      {
        a: runs[0].run,
        b: runs[i + 1].run,
        dataset,
        images: result.images,
        difference: result.difference,
        interval: result.interval,
        p: result.p,
      },
    ]
  })
}
