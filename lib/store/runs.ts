import { nearest } from '../config/keys.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { RunStatus } from '../core/updates.ts'
import { fieldNames, resolveField } from './fields.ts'
import { parseFilter } from './filter.ts'
import type { Store } from './open.ts'
import { numberOf } from './schema.ts'

type Cell = string | number | null
export type RunList = { columns: string[]; rows: Record<string, Cell>[] }

export type ListOptions = {
  where?: string
  /** Field names, `-` before one for descending; what is empty comes last. */
  sort?: readonly string[]
  columns: readonly string[]
  /** Runs that were taken out by `gvx rm`, instead of the others. */
  removed?: boolean
  limit?: number
}

/** The chosen fields of the runs that a filter holds for, newest first unless told otherwise. */
export function listRuns(store: Store, options: ListOptions): RunList {
  const columns = options.columns.map((name) => requireField(store, name))
  const filter = options.where ? parseFilter(store, options.where) : null
  const order = (options.sort ?? []).map((text) => {
    const down = text.startsWith('-')
    return { field: requireField(store, down ? text.slice(1) : text), down }
  })
  const sql = `SELECT ${columns.map((field, i) => `${field.sql} AS c${i}`).join(', ')} FROM runs r
    WHERE r.removed IS ${options.removed ? 'NOT NULL' : 'NULL'} ${filter ? `AND ${filter.sql}` : ''}
    ORDER BY ${[...order.map(({ field, down }) => `${field.sql} ${down ? 'DESC' : 'ASC'} NULLS LAST`), 'r.id DESC'].join(', ')}
    LIMIT ?`
  const values = [
    ...columns.flatMap((field) => field.values),
    ...(filter?.values ?? []),
    ...order.flatMap(({ field }) => field.values),
    options.limit ?? -1,
  ]
  const rows = store.db.prepare(sql).raw().all(values) as Cell[][]
  return {
    columns: columns.map((field) => field.name),
    rows: rows.map((row) => Object.fromEntries(columns.map((field, i) => [field.name, row[i]]))),
  }
}

function requireField(store: Store, name: string) {
  const field = resolveField(store, name)
  if (field && !field.many) return field
  const guess = field ? 'tags' : nearest(name, fieldNames(store))
  throw new UserError(`no run has a field ${printable(name)}.`, {
    hint: guess ? `did you mean ${guess}?` : 'a field is a column of gvx runs, a config key or a metric',
  })
}

export type Summary = {
  name: string
  count: number
  nonFinite: number
  first: number
  firstStep: number
  last: number
  lastStep: number
  /** Extremes of the finite values; NaN where there is none. */
  min: number
  minStep: number | null
  max: number
  maxStep: number | null
}

export type Evaluation = {
  step: number
  dataset: string
  purpose: 'during' | 'final'
  protocol: string
  protocolJson: Record<string, string | number | boolean | null>
  t: number
  images: number
  seconds: number | null
  values: Record<string, number>
  classNames: string[]
  /** NaN where a class is in neither masks nor predictions. */
  iou: number[]
  baselines: Record<string, number>
  counts: Buffer | null
}

type AttemptRow = {
  attempt: number
  resumed_from: number | null
  started: number | null
  seen: number | null
  step: number
  status: string | null
  error: string | null
  host: string | null
  pid: number | null
  backend: string | null
  device: string | null
  threads: number | null
}

export type Run = {
  id: number
  run: string
  name: string
  label: string
  kind: string
  created: number
  configHash: string
  seed: number
  sweep: string | null
  point: string | null
  status: RunStatus
  step: number
  totalSteps: number | null
  checkpoint: number | null
  started: number | null
  seen: number | null
  error: string | null
  damaged: number
  removed: number | null
  argv: string[]
  git: { commit: string | null; dirty: boolean }
  versions: Record<string, string>
  params: Record<string, string>
  tags: string[]
  notes: { t: number; text: string }[]
  warnings: { step: number; t: number; code: string; message: string }[]
  attempts: AttemptRow[]
}

/** Everything about one run that does not need its points. */
export function getRun(store: Store, id: number): Run {
  const row = store
    .sql(
      `SELECT r.*, s.name AS sweep_name, p.key AS point_key FROM runs r LEFT JOIN sweeps s ON s.id = r.sweep
       LEFT JOIN points p ON p.id = r.point WHERE r.id = ?`,
    )
    .get(id) as Record<string, never> & { [key: string]: unknown }
  const all = <T>(sql: string) => store.sql(sql).all(id) as T[]
  return {
    id,
    run: `run${id}`,
    name: row.name,
    label: row.label,
    kind: row.kind,
    created: row.created,
    configHash: row.config_hash,
    seed: row.seed,
    sweep: row.sweep_name,
    point: row.point_key,
    status: row.status,
    step: row.step,
    totalSteps: row.total_steps,
    checkpoint: row.checkpoint,
    started: row.started,
    seen: row.seen,
    error: row.error,
    damaged: row.damaged,
    removed: row.removed,
    argv: JSON.parse(row.argv),
    git: { commit: row.git_commit, dirty: Boolean(row.git_dirty) },
    versions: JSON.parse(row.versions),
    params: Object.fromEntries(
      all<{ key: string; text: string }>('SELECT key, text FROM params WHERE run = ? ORDER BY key').map((p) => [
        p.key,
        p.text,
      ]),
    ),
    tags: all<{ tag: string }>('SELECT tag FROM tags WHERE run = ? ORDER BY tag').map((t) => t.tag),
    notes: all('SELECT t, text FROM notes WHERE run = ? ORDER BY t'),
    warnings: all('SELECT step, t, code, message FROM warnings WHERE run = ? ORDER BY id'),
    attempts: all(
      `SELECT attempt, resumed_from, started, seen, step, status, error, host, pid, backend, device, threads
       FROM attempts WHERE run = ? ORDER BY attempt`,
    ),
  }
}

/** The summary of each metric of a run, by name. */
export function summariesOf(store: Store, id: number): Summary[] {
  const rows = store
    .sql(
      'SELECT n.name AS metric, s.* FROM summaries s JOIN metric_names n ON n.id = s.name WHERE s.run = ? ORDER BY n.name',
    )
    .all(id) as (Record<string, number | null> & { metric: never })[]
  return rows.map((row) => ({
    name: row.metric as string,
    count: row.count!,
    nonFinite: row.non_finite!,
    first: numberOf(row.first, row.first_kind!),
    firstStep: row.first_step!,
    last: numberOf(row.last, row.last_kind!),
    lastStep: row.last_step!,
    min: row.min ?? Number.NaN,
    minStep: row.min_step,
    max: row.max ?? Number.NaN,
    maxStep: row.max_step,
  }))
}

/** The evaluations of a run, newest first, final ones before those during training. */
export function evaluationsOf(store: Store, id: number): Evaluation[] {
  const rows = store
    .sql(
      `SELECT e.*, p.hash, p.json AS protocol_json FROM evaluations e JOIN protocols p ON p.id = e.protocol WHERE e.run = ?
       ORDER BY e.purpose = 'final' DESC, e.t DESC, e.id DESC`,
    )
    .all(id) as (Record<string, never> & { id: number })[]
  return rows.map((row) => ({
    step: row.step,
    dataset: row.dataset,
    purpose: row.purpose,
    protocol: row.hash,
    protocolJson: JSON.parse(row.protocol_json),
    t: row.t,
    images: row.images,
    seconds: row.seconds,
    values: Object.fromEntries(
      (
        store.sql('SELECT name, kind, value FROM eval_values WHERE evaluation = ?').all(row.id) as {
          name: string
          kind: number
          value: number | null
        }[]
      ).map((v) => [v.name, numberOf(v.value, v.kind)]),
    ),
    classNames: JSON.parse(row.class_names),
    iou: (JSON.parse(row.iou) as (number | null)[]).map((value) => value ?? Number.NaN),
    baselines: JSON.parse(row.baselines),
    counts: row.counts,
  }))
}

export type Series = { steps: number[]; values: number[]; t: number[] }

/**
 * The points of one metric of a run by step, at most `maxPoints` of them (evenly thinned; the last one stays). `upTo` leaves out later steps.
 */
export function seriesOf(
  store: Store,
  id: number,
  metric: string,
  { maxPoints = 100_000, upTo = Number.MAX_SAFE_INTEGER }: { maxPoints?: number; upTo?: number } = {},
): Series {
  const name = store.values('SELECT id FROM metric_names WHERE name = ?').get(metric) as number | undefined
  const series: Series = { steps: [], values: [], t: [] }
  if (name === undefined) return series
  const count = store.values('SELECT count FROM summaries WHERE run = ? AND name = ?').get(id, name) as
    | number
    | undefined
  const stride = Math.max(1, Math.ceil((count ?? 0) / maxPoints))
  const rows = store.db
    .prepare(
      `SELECT m.step, m.kind, m.value, s.t FROM metrics m LEFT JOIN steps s ON s.run = m.run AND s.step = m.step
       WHERE m.run = ? AND m.name = ? AND m.step <= ? ORDER BY m.step`,
    )
    .raw()
    .all(id, name, upTo) as [number, number, number | null, number | null][]
  rows.forEach(([step, kind, value, t], i) => {
    if (i % stride !== 0 && i !== rows.length - 1) return
    series.steps.push(step)
    series.values.push(numberOf(value, kind))
    series.t.push(t ?? Number.NaN)
  })
  return series
}
