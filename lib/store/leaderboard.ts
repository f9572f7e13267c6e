import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { type SeedsTest, spreadOf, welchTest } from '../eval/seeds.ts'
import type { Store } from './open.ts'
import { numberOf } from './schema.ts'

/** One configuration, all its seeds, under one protocol. */
export type LeaderboardRow = {
  /** From 1; null for rows that are not ranked: baselines, references, configurations with a run that diverged. */
  rank: number | null
  name: string
  kind: 'config' | 'baseline' | 'reference'
  configHash: string | null
  /** Mean over the runs as a fraction; NaN when one of them is. */
  mean: number
  /** Sample standard deviation over the runs; null for fewer than two. */
  std: number | null
  n: number
  values: number[]
  runs: string[]
  /** Median of the steps at which the evaluated weights were taken. */
  bestStep: number | null
  /** This mean minus that of the best row. */
  delta: number | null
  /** Welch's t-test over seeds of this row against the best; null for the best itself and where it says nothing. */
  versusBest: SeedsTest | null
  commits: string[]
}

export type LeaderboardGroup = {
  dataset: string
  protocol: string
  /** What the protocol says, or {} for a mixed table. */
  protocolJson: Record<string, unknown>
  images: number | null
  rows: LeaderboardRow[]
}

export type LeaderboardOptions = {
  metric?: string
  dataset?: string
  /** Runs that a sweep made, by its name (`stages`) or whole id (`stages-6b83b0`). */
  sweep?: string
  /** Only these, `run12`: what a sweep ended with, runs that other sweeps had made before it included. */
  runs?: readonly string[]
  /** One table over all protocols of a dataset, though their numbers do not compare. */
  mixed?: boolean
}

type Score = {
  run: number
  run_kind: string
  seed: number
  label: string
  config_hash: string
  git_commit: string | null
  dataset: string
  protocol: string
  json: string
  images: number
  step: number
  t: number
  kind: number
  value: number | null
  baselines: string
}

/** The final results, ranked within each protocol; protocols with the newest results first. Smaller never wins: metrics are accuracies. */
export function leaderboard(store: Store, options: LeaderboardOptions = {}): LeaderboardGroup[] {
  const all = store
    .sql(
      `SELECT r.id AS run, r.kind AS run_kind, r.seed, r.label, r.config_hash, r.git_commit, e.dataset, p.hash AS protocol, p.json, e.images, e.step, e.t, v.kind, v.value, e.baselines
       FROM evaluations e
       JOIN runs r ON r.id = e.run JOIN protocols p ON p.id = e.protocol
       JOIN eval_values v ON v.evaluation = e.id AND v.name = @metric
       LEFT JOIN sweeps s ON s.id = r.sweep
       WHERE e.purpose = 'final' AND r.removed IS NULL
         AND (@dataset IS NULL OR e.dataset = @dataset) AND (@sweep IS NULL OR s.name = @sweep OR (length(s.name) = length(@sweep) + 7 AND substr(s.name, 1, length(@sweep) + 1) = @sweep || '-'))
         AND (@runs IS NULL OR r.id IN (SELECT value FROM json_each(@runs)))
         AND NOT EXISTS (SELECT 1 FROM evaluations n WHERE n.run = e.run AND n.dataset = e.dataset AND n.purpose = 'final'
                         AND n.protocol = e.protocol AND (n.t, n.id) > (e.t, e.id))
       ORDER BY r.id`,
    )
    .all({
      metric: options.metric ?? 'mIoU',
      dataset: options.dataset ?? null,
      sweep: options.sweep ?? null,
      runs: options.runs ? JSON.stringify(options.runs.map((run) => Number(run.replace('run', '')))) : null,
    }) as Score[]
  const scores = newestOfSeeds(all)
  if (scores.length === 0 && options.metric) refuseUnknownMetric(store, options.metric)
  const tables = groupBy(scores, (s) => (options.mixed ? s.dataset : `${s.dataset} ${s.protocol}`))
  return [...tables.values()]
    .sort((a, b) => newest(b).t - newest(a).t || newest(b).run - newest(a).run)
    .map((table) => {
      const configs = [
        ...groupBy(table, (s) => (options.mixed ? `${s.config_hash} ${s.protocol}` : s.config_hash)).values(),
      ]
      const protocols = new Set(table.map((s) => s.protocol))
      return {
        dataset: table[0].dataset,
        protocol: [...protocols].join(' '),
        protocolJson: protocols.size === 1 ? JSON.parse(table[0].json) : {},
        images: protocols.size === 1 ? table[0].images : null,
        rows: [
          ...rank(configs.map(configRow), protocols.size === 1),
          ...(BASELINED.has(options.metric ?? 'mIoU') ? baselineRows(table) : []),
        ],
      }
    })
}

/** A configuration that was trained again with a seed (`--rerun`) counts once with it, by its newest run: a mean over seeds is over seeds. */
function newestOfSeeds(scores: Score[]): Score[] {
  const trial = (s: Score) => (s.run_kind === 'train' ? `${s.config_hash} ${s.seed}` : `run${s.run}`)
  const last = new Map(scores.map((s) => [`${trial(s)} ${s.dataset} ${s.protocol}`, s]))
  return scores.filter((s) => last.get(`${trial(s)} ${s.dataset} ${s.protocol}`) === s)
}

const newest = (scores: Score[]): Score => scores.reduce((a, b) => (b.t >= a.t ? b : a))

function configRow(scores: Score[]): LeaderboardRow {
  const values = scores.map((s) => numberOf(s.value, s.kind))
  const { mean, std } = spreadOf(values)
  const last = scores.at(-1)!
  return {
    rank: null,
    name: last.label,
    kind: 'config',
    configHash: last.config_hash,
    mean: Number.isFinite(mean) ? mean : Number.NaN,
    std: Number.isFinite(mean) ? std : null,
    n: values.length,
    values,
    runs: scores.map((s) => `run${s.run}`),
    bestStep: median(scores.map((s) => s.step)),
    delta: null,
    versusBest: null,
    commits: [...new Set(scores.flatMap((s) => s.git_commit ?? []))],
  }
}

/** Best first; what is not a number never wins and has no rank. Of one protocol, each is tested against the best. */
function rank(rows: LeaderboardRow[], comparable: boolean): LeaderboardRow[] {
  const sorted = rows.sort((a, b) => (Number.isNaN(a.mean) ? 1 : Number.isNaN(b.mean) ? -1 : b.mean - a.mean))
  const best = sorted[0]
  return sorted.map((row, i) =>
    Number.isNaN(row.mean)
      ? row
      : {
          ...row,
          rank: i + 1,
          delta: row.mean === best.mean ? 0 : row.mean - best.mean,
          versusBest: i > 0 && comparable ? welchTest(best.values, row.values) : null,
        },
  )
}

/** Metrics that the baselines of an evaluation are numbers of: segmentation's and classification's. */
const BASELINED = new Set(['mIoU', 'acc1'])

/** Chance, majority, caption oracle and untrained, averaged over the runs of a table, beside which any result is to be read. */
function baselineRows(scores: Score[]): LeaderboardRow[] {
  const found = new Map<string, number[]>()
  for (const { baselines } of scores) {
    for (const [name, value] of Object.entries(JSON.parse(baselines) as Record<string, number | null>))
      if (value !== null) found.set(name, [...(found.get(name) ?? []), value])
  }
  return [...found]
    .map(
      ([name, values]): LeaderboardRow => ({
        rank: null,
        name,
        kind: 'baseline',
        configHash: null,
        mean: spreadOf(values).mean,
        std: null,
        n: values.length,
        values,
        runs: [],
        bestStep: null,
        delta: null,
        versusBest: null,
        commits: [],
      }),
    )
    .sort((a, b) => b.mean - a.mean)
}

function refuseUnknownMetric(store: Store, metric: string): void {
  const known = store.values('SELECT DISTINCT name FROM eval_values ORDER BY name').all() as string[]
  if (known.length > 0 && !known.includes(metric))
    throw new UserError(`no evaluation has a value ${printable(metric)}.`, { hint: `there are ${known.join(', ')}` })
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[(sorted.length - 1) >> 1]
}

function groupBy<T>(items: T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}
