import type { RunStatus } from '../core/updates.ts'
import type { Store } from './open.ts'

/** What a list of runs shows of one before its log is read. */
export type RunBrief = {
  id: number
  /** `run12` */
  run: string
  label: string
  seed: number
  sweep: string | null
  point: string | null
  configHash: string
  status: RunStatus
  totalSteps: number
  /** Milliseconds since the epoch. */
  created: number
}

/** The runs that were not taken out, oldest first; all of them with `removed`. */
export function briefRuns(store: Store, { removed = false }: { removed?: boolean } = {}): RunBrief[] {
  return store
    .sql(
      `SELECT r.id, 'run' || r.id AS run, r.label, r.seed, s.name AS sweep, p.key AS point, r.config_hash AS configHash,
       r.status, r.created, coalesce(r.total_steps, 0) AS totalSteps
       FROM runs r LEFT JOIN sweeps s ON s.id = r.sweep LEFT JOIN points p ON p.id = r.point
       WHERE r.removed IS NULL ${removed ? 'OR TRUE' : ''} ORDER BY r.id`,
    )
    .all() as RunBrief[]
}

/**
 * Of each run the configuration values, by dotted key, that are not the same in all of them; name and seed aside. Lists come last:
 * most follow from one of the numbers.
 */
export function differingValues(store: Store, ids: readonly number[]): Map<number, Record<string, string | number>> {
  const list = JSON.stringify(ids)
  const rows = store
    .sql(
      `SELECT run, key, text, number FROM params WHERE run IN (SELECT value FROM json_each(?)) AND key IN (
         SELECT key FROM params WHERE run IN (SELECT value FROM json_each(?)) AND key NOT IN ('name', 'seed')
         GROUP BY key HAVING count(DISTINCT text) > 1 OR count(*) < ?)
       ORDER BY text LIKE '[%', key`,
    )
    .all(list, list, ids.length) as { run: number; key: string; text: string; number: number | null }[]
  const values = new Map(ids.map((id): [number, Record<string, string | number>] => [id, {}]))
  for (const { run, key, text, number } of rows) values.get(run)![key] = number ?? text
  return values
}
