import { configKeys } from '../config/keys.ts'
import type { Store } from './open.ts'

/** Something that can be asked of each run: SQL over the alias `r` of runs, in which `values` are bound. */
export type Field = {
  name: string
  sql: string
  values: (string | number)[]
  /** Whether it is ordered as text. */
  text?: boolean
  /** The SQL selects several values named `v`: the field equals something when one of them does. */
  many?: boolean
}

const iso = (column: string) => `strftime('%Y-%m-%dT%H:%M:%SZ', ${column} / 1000.0, 'unixepoch')`
const ofAttempt = (column: string) =>
  `(SELECT a.${column} FROM attempts a WHERE a.run = r.id AND a.attempt = r.attempts)`

const COLUMNS: Record<string, Omit<Field, 'name' | 'values'>> = {
  run: { sql: "'run' || r.id", text: true },
  number: { sql: 'r.id' },
  name: { sql: 'r.name', text: true },
  label: { sql: 'r.label', text: true },
  kind: { sql: 'r.kind', text: true },
  status: { sql: 'r.status', text: true },
  step: { sql: 'r.step' },
  steps: { sql: 'r.total_steps' },
  seed: { sql: 'r.seed' },
  hash: { sql: 'r.config_hash', text: true },
  sweep: { sql: '(SELECT s.name FROM sweeps s WHERE s.id = r.sweep)', text: true },
  point: { sql: '(SELECT p.key FROM points p WHERE p.id = r.point)', text: true },
  created: { sql: iso('r.created'), text: true },
  started: { sql: iso('r.started'), text: true },
  seen: { sql: iso('r.seen'), text: true },
  seconds: { sql: '(SELECT sum(a.seen - a.started) / 1000.0 FROM attempts a WHERE a.run = r.id)' },
  attempts: { sql: 'r.attempts' },
  backend: { sql: ofAttempt('backend'), text: true },
  device: { sql: ofAttempt('device'), text: true },
  threads: { sql: ofAttempt('threads') },
  host: { sql: ofAttempt('host'), text: true },
  commit: { sql: 'r.git_commit', text: true },
  error: { sql: 'r.error', text: true },
  warnings: { sql: '(SELECT count(*) FROM warnings w WHERE w.run = r.id)' },
  tag: { sql: 'SELECT tag AS v FROM tags WHERE run = r.id', text: true, many: true },
  tags: { sql: "(SELECT group_concat(tag, ' ') FROM tags t WHERE t.run = r.id)", text: true },
}

/** What is known of every run, whatever it measures. */
export const COLUMN_NAMES: readonly string[] = Object.keys(COLUMNS)

/**
 * The field of a name: a column of runs, a config key (`model.stages`), a result (`voc.mIoU`: of the final evaluation, or the best during
 * training while there is none) or a metric (`train/loss` or `train.loss`: the last value; `train/loss:min`, `:max`, `:first`, `:last`).
 * Null when no run knows it.
 */
export function resolveField(store: Store, name: string): Field | null {
  const column = Object.hasOwn(COLUMNS, name) ? COLUMNS[name] : null
  if (column) return { name, values: [], ...column }
  if (configKeys.has(name) || hasParam(store, name))
    return {
      name,
      sql: '(SELECT coalesce(p.number, p.text) FROM params p WHERE p.run = r.id AND p.key = ?)',
      values: [name],
    }
  return resultField(store, name) ?? metricField(store, name)
}

/** Every name that `resolveField` knows of itself, for suggestions and completion. */
export function fieldNames(store: Store): string[] {
  const metrics = store.values('SELECT name FROM metric_names ORDER BY name').all() as string[]
  const results = store
    .values(`SELECT DISTINCT e.dataset || '.' || v.name FROM evaluations e JOIN eval_values v ON v.evaluation = e.id`)
    .all() as string[]
  return [...Object.keys(COLUMNS), ...configKeys.keys(), ...results, ...metrics]
}

const hasParam = (store: Store, key: string) =>
  store.sql('SELECT 1 FROM params WHERE key = ? LIMIT 1').get(key) !== undefined

function resultField(store: Store, name: string): Field | null {
  const dot = name.indexOf('.')
  const [dataset, value] = dot < 0 ? ['voc', name] : [name.slice(0, dot), name.slice(dot + 1)]
  const known = store
    .sql(
      'SELECT 1 FROM evaluations e JOIN eval_values v ON v.evaluation = e.id WHERE e.dataset = ? AND v.name = ? LIMIT 1',
    )
    .get(dataset, value)
  // Before the first evaluation anybody would expect this one to be known, and empty.
  if (!known && name !== 'voc.mIoU') return null
  return {
    name,
    sql: `coalesce(
      (SELECT v.value FROM evaluations e JOIN eval_values v ON v.evaluation = e.id AND v.name = ?
       WHERE e.run = r.id AND e.dataset = ? AND e.purpose = 'final' ORDER BY e.t DESC, e.id DESC LIMIT 1),
      (SELECT s.max FROM summaries s JOIN metric_names n ON n.id = s.name WHERE s.run = r.id AND n.name = ?
       AND NOT EXISTS (SELECT 1 FROM evaluations e WHERE e.run = r.id AND e.dataset = ? AND e.purpose = 'final')))`,
    values: [value, dataset, `eval/${dataset}/${value}`, dataset],
  }
}

function metricField(store: Store, name: string): Field | null {
  const [base, which = 'last'] = name.split(':')
  if (!['first', 'last', 'min', 'max'].includes(which)) return null
  for (const metric of [base, base.replace('.', '/'), base.replaceAll('.', '/')]) {
    const row = store.sql('SELECT id FROM metric_names WHERE name = ?').get(metric) as { id: number } | undefined
    if (row)
      return { name, sql: `(SELECT s.${which} FROM summaries s WHERE s.run = r.id AND s.name = ?)`, values: [row.id] }
  }
  return null
}
