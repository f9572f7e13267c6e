import type { Store } from './open.ts'

/** The views that an export holds: the contract with notebooks. */
export const VIEWS = [
  'v_runs',
  'v_metrics',
  'v_params',
  'v_evaluations',
  'v_classes',
  'v_baselines',
  'v_leaderboard',
] as const
export type View = (typeof VIEWS)[number]

export type ViewColumn = { name: string; type: 'integer' | 'real' | 'text' }

/** Types of the columns that a view computes, which SQLite does not know; those that are not here are text. */
const COMPUTED: Record<string, ViewColumn['type']> = {
  newest_final: 'integer',
  position: 'integer',
  n: 'integer',
  n_finite: 'integer',
  seconds: 'real',
  mean: 'real',
  std: 'real',
  lowest: 'real',
  highest: 'real',
  iou: 'real',
  mIoU: 'real',
}

/** The columns of a view with the type of their values. */
export const columnsOf = (store: Store, view: View): ViewColumn[] =>
  store.db
    .prepare(`SELECT * FROM ${view}`)
    .columns()
    .map(({ name, type }) => ({
      name,
      type: type === 'INTEGER' ? 'integer' : type === 'REAL' ? 'real' : type ? 'text' : (COMPUTED[name] ?? 'text'),
    }))

/** The rows of a view, one at a time; of some runs only where the view knows runs. */
export function* rowsOf(
  store: Store,
  view: View,
  runs: readonly number[],
): Generator<Record<string, string | number | null>> {
  const sql = `SELECT * FROM ${view} ${ofRuns(view, runs)}`
  yield* store.db.prepare(sql).iterate() as IterableIterator<Record<string, string | number | null>>
}

/** A database file with the views as tables, for tools that shall not see ours; of some runs only, or of all. */
export function exportSqlite(store: Store, file: string, runs: readonly number[]): void {
  const { db } = store
  db.prepare('ATTACH ? AS export').run(file)
  try {
    db.transaction(() => {
      for (const view of VIEWS)
        db.exec(`CREATE TABLE export.${view.slice(2)} AS SELECT * FROM ${view} ${ofRuns(view, runs)}`)
    })()
  } finally {
    db.exec('DETACH export')
  }
}

/** The leaderboard stands for configurations and is never cut. */
const ofRuns = (view: View, runs: readonly number[]): string =>
  view === 'v_leaderboard' || runs.length === 0 ? '' : `WHERE number IN (${runs.map(Number).join(', ')})`
