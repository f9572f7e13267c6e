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

/** The rows of a view, one at a time; of some runs only where the view knows runs. */
export function* rowsOf(
  store: Store,
  view: View,
  runs: readonly number[],
): Generator<Record<string, string | number | null>> {
  const byRun = view !== 'v_leaderboard' && runs.length > 0
  const sql = `SELECT * FROM ${view} ${byRun ? `WHERE number IN (${runs.map(() => '?').join(', ')})` : ''}`
  yield* store.db.prepare(sql).iterate(...(byRun ? runs : [])) as IterableIterator<
    Record<string, string | number | null>
  >
}

/** A database file with the views as tables, for tools that shall not see ours. */
export function exportSqlite(store: Store, file: string): void {
  const { db } = store
  db.prepare('ATTACH ? AS export').run(file)
  try {
    db.transaction(() => {
      for (const view of VIEWS) db.exec(`CREATE TABLE export.${view.slice(2)} AS SELECT * FROM ${view}`)
    })()
  } finally {
    db.exec('DETACH export')
  }
}
