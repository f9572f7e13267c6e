import { pairedBootstrap } from '../eval/bootstrap.ts'
import { type SeedsTest, spreadOf, welchTest } from '../eval/seeds.ts'
import { type ImageCounts, unpackCounts } from './counts.ts'
import { leaderboard } from './leaderboard.ts'
import type { Store } from './open.ts'
import { type Evaluation, evaluationsOf, getRun, type Run, type Summary, seriesOf, summariesOf } from './runs.ts'

type ComparedMetric = {
  name: string
  /** One entry a run; null where the run does not know the metric. */
  runs: (null | { last: number; lastStep: number; best: number | null; bestStep: number | null })[]
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
  /** In the order of the classes; NaN where a class is in neither masks nor predictions. */
  classes: { name: string; difference: number; interval: [low: number, high: number] }[]
}

/** The configurations of the compared runs, each with its seeds, under one protocol. */
type SeedsComparison = {
  dataset: string
  protocol: string
  configurations: {
    name: string
    configHash: string
    runs: string[]
    /** mIoU of each run. */
    values: number[]
    mean: number
    /** Sample standard deviation; null for one run. */
    std: number | null
    /** Against the first configuration; null for itself and where two seeds are missing. */
    test: SeedsTest | null
  }[]
}

export type Comparison = {
  runs: Run[]
  /** Keys whose values differ among the runs, with the value of each. */
  config: { key: string; values: (string | null)[] }[]
  metrics: ComparedMetric[]
  /** By dataset the evaluation of each run that is compared: the final one, or the last during training; null where there is none. */
  results: { dataset: string; comparable: boolean; evaluations: (Evaluation | null)[] }[]
  classes: { dataset: string; rows: { name: string; iou: number[] }[] }[]
  /** First run against each other, where both have the counts of the same images. */
  intervals: Interval[]
  /**
   * Where the runs are of several configurations and one of these has several seeds. Of a configuration that is named
   * once all its runs count, of one that is named more often these.
   */
  seeds: SeedsComparison[]
  /** Steps that all runs have done, and to which the metrics are cut with `trim`. */
  upTo: number | null
}

/** Which end of a metric is its best; null where neither is, as for the learning rate and the epoch. */
const bestEnd = (name: string): 'min' | 'max' | null =>
  /loss|contrastive|multiLabel|dataWait/i.test(name) ? 'min' : /^optim\/|^train\/epoch$/.test(name) ? null : 'max'

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
  const known = runs.map((run) => evaluationsOf(store, run.id).filter((e) => upTo === null || e.step <= upTo))
  const datasets = [...new Set(known.flat().map((e) => e.dataset))]
  const results = datasets.map((dataset) => {
    const evaluations = evaluationsToCompare(known.map((list) => list.filter((e) => e.dataset === dataset)))
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
    seeds: upTo === null ? results.flatMap((result) => compareSeeds(store, runs, result)) : [],
    upTo,
  }
}

/**
 * Of each run its newest final evaluation. Where a cut by steps leaves some run without one, all are compared by the
 * last that they had during training, which are of one protocol.
 */
function evaluationsToCompare(known: Evaluation[][]): (Evaluation | null)[] {
  const finals = known.map((list) => list.find((e) => e.purpose === 'final') ?? null)
  if (finals.every((e) => e !== null)) return finals
  const last = known.map((list) =>
    list
      .filter((e) => e.purpose === 'during')
      .reduce<Evaluation | null>((a, b) => (a === null || b.step > a.step ? b : a), null),
  )
  return last.filter((e) => e !== null).length > finals.filter((e) => e !== null).length ? last : finals
}

function compareSeeds(store: Store, runs: Run[], result: Comparison['results'][0]): SeedsComparison[] {
  const protocol = result.evaluations.find((e) => e !== null)?.protocol
  const table = result.comparable
    ? leaderboard(store, { dataset: result.dataset }).find((group) => group.protocol === protocol)
    : undefined
  if (!protocol || !table) return []
  const hashes = [...new Set(runs.map((run) => run.configHash))]
  const samples = hashes.flatMap((configHash) => {
    const row = table.rows.find((candidate) => candidate.configHash === configHash)
    if (!row) return []
    const named = runs.filter((run) => run.configHash === configHash).map(({ run }) => run)
    const chosen = row.runs
      .map((run, i) => ({ run, value: row.values[i] }))
      .filter(({ run }) => named.length < 2 || named.includes(run))
    if (chosen.length === 0) return []
    return [
      { name: row.name, configHash, runs: chosen.map(({ run }) => run), values: chosen.map(({ value }) => value) },
    ]
  })
  if (samples.length < 2 || samples.every(({ values }) => values.length < 2)) return []
  const configurations = samples.map((sample, i) => ({
    ...sample,
    ...spreadOf(sample.values),
    test: i === 0 ? null : welchTest(samples[0].values, sample.values),
  }))
  return [{ dataset: result.dataset, protocol, configurations }]
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
      const end = bestEnd(name)
      return {
        last: summary.last,
        lastStep: summary.lastStep,
        best: end === null ? null : summary[end],
        bestStep: end === null ? null : end === 'min' ? summary.minStep : summary.maxStep,
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
        classes: result.perClass.map((own, c) => ({ name: first.classNames[c], ...own })),
      },
    ]
  })
}
