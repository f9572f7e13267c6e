import { createHash } from 'node:crypto'
import type { EvalFinished, LoggedEvent, Protocol } from '../core/events.ts'
import { readCounts } from './counts.ts'
import type { Store } from './open.ts'
import { kindOf } from './schema.ts'
import { createSummaries } from './summaries.ts'

/** Attempt number of evaluations that `gvx eval` made after the run: no resume supersedes them. */
export const AFTERWARDS = 1_000_000

/**
 * Writes events of one run into the tables. The result depends on the logs alone, not on how they were cut into batches nor on which
 * attempt was read first: a number of attempt a at a step counts only when no later attempt started from before that step.
 * To be called inside a transaction; `finish` completes the batch.
 */
export function createApplier(store: Store, run: number, runDir: string) {
  const { sql } = store
  const summaries = createSummaries(store, run)
  const starts = new Map<number, number>()
  for (const row of sql('SELECT attempt, resumed_from FROM attempts WHERE run = ? AND resumed_from IS NOT NULL').all(
    run,
  )) {
    const { attempt, resumed_from } = row as { attempt: number; resumed_from: number }
    starts.set(attempt, resumed_from)
  }
  // Kept for one batch only: after a rollback the numbers may go to other names.
  const ids = new Map<string, number>()
  const metricId = (name: string): number => {
    const known = ids.get(name)
    if (known !== undefined) return known
    sql('INSERT INTO metric_names (name) VALUES (?) ON CONFLICT DO NOTHING').run(name)
    const { id } = sql('SELECT id FROM metric_names WHERE name = ?').get(name) as { id: number }
    ids.set(name, id)
    return id
  }
  /** Last step of an attempt that no later attempt repeats. */
  const lastValid = (attempt: number): number => {
    let step = Number.POSITIVE_INFINITY
    for (const [other, from] of starts) if (other > attempt) step = Math.min(step, from)
    return step
  }

  function apply(event: LoggedEvent, attempt: number): void {
    touchAttempt(event, attempt)
    switch (event.type) {
      case 'run.started':
        sql(
          `UPDATE attempts SET resumed_from = ?, total_steps = ?, started = ?, host = ?, pid = ?, pid_started = ?, backend = ?,
           device = ?, threads = ?, git_commit = ?, git_dirty = ?, versions = ? WHERE run = ? AND attempt = ?`,
        ).run(
          event.resumedFrom,
          event.totalSteps,
          event.t,
          event.host,
          event.pid,
          event.pidStarted,
          event.backend,
          event.device,
          event.threads,
          event.git.commit,
          event.git.dirty ? 1 : 0,
          JSON.stringify(event.versions),
          run,
          attempt,
        )
        starts.set(attempt, event.resumedFrom)
        supersede(attempt, event.resumedFrom)
        return
      case 'metric':
        if (event.step <= lastValid(attempt)) points(event.step, event.values, attempt, event.t)
        return
      case 'eval.finished':
        if (event.step <= lastValid(attempt)) evaluation(event, attempt)
        return
      case 'checkpoint.saved':
        if (event.step <= lastValid(attempt))
          sql(
            `INSERT INTO checkpoints (run, step, attempt, file, bytes, best) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET attempt = excluded.attempt, file = excluded.file, bytes = excluded.bytes,
             best = max(best, excluded.best) WHERE excluded.attempt >= attempt`,
          ).run(run, event.step, attempt, event.file, event.bytes, event.best ? 1 : 0)
        return
      case 'sample.segmented':
        if (event.step <= lastValid(attempt))
          sql(
            `INSERT INTO samples (run, step, sample, attempt, file) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET attempt = excluded.attempt, file = excluded.file WHERE excluded.attempt >= attempt`,
          ).run(run, event.step, event.sample, attempt, event.file)
        return
      case 'warning':
        sql('INSERT INTO warnings (run, attempt, step, t, code, message) VALUES (?, ?, ?, ?, ?, ?)').run(
          run,
          attempt,
          event.step,
          event.t,
          event.code,
          event.message,
        )
        return
      case 'run.finished':
        sql('UPDATE attempts SET status = ?, error = ?, step = ? WHERE run = ? AND attempt = ?').run(
          event.status,
          event.error,
          event.step,
          run,
          attempt,
        )
        return
      case 'run.heartbeat':
        return
      default:
        event satisfies never
    }
  }

  function touchAttempt(event: LoggedEvent, attempt: number): void {
    const step = event.type === 'run.started' ? event.resumedFrom : event.step
    sql(
      `INSERT INTO attempts (run, attempt, step, seen) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET step = max(step, excluded.step), seen = max(coalesce(seen, 0), excluded.seen)`,
    ).run(run, attempt, step, event.t)
  }

  function points(step: number, values: Record<string, number>, attempt: number, t: number): void {
    const write = sql(
      `INSERT INTO metrics (run, name, step, attempt, kind, value) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET attempt = excluded.attempt, kind = excluded.kind, value = excluded.value
       WHERE excluded.attempt >= attempt`,
    )
    for (const [name, value] of Object.entries(values)) {
      const id = metricId(name)
      const kind = kindOf(value)
      write.run(run, id, step, attempt, kind, kind === 0 ? value : null)
      summaries.touch(id, step, value)
    }
    sql(
      `INSERT INTO steps (run, step, attempt, t) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET attempt = excluded.attempt, t = excluded.t WHERE excluded.attempt > attempt`,
    ).run(run, step, attempt, t)
  }

  function evaluation(event: EvalFinished & { t: number }, attempt: number): void {
    if (event.purpose === 'during')
      points(
        event.step,
        Object.fromEntries(
          Object.entries(event.values).map(([name, value]) => [`eval/${event.dataset}/${name}`, value]),
        ),
        attempt,
        event.t,
      )
    const counts = event.counts === null ? null : readCounts(runDir, event.counts)
    const row = sql(
      `INSERT INTO evaluations (run, attempt, step, dataset, purpose, protocol, t, images, seconds, class_names, iou, baselines, counts_file, counts)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET attempt = excluded.attempt, t = excluded.t, images = excluded.images, seconds = excluded.seconds,
       class_names = excluded.class_names, iou = excluded.iou, baselines = excluded.baselines, counts_file = excluded.counts_file,
       counts = coalesce(excluded.counts, counts) WHERE excluded.attempt >= attempt RETURNING id`,
    ).get(
      run,
      attempt,
      event.step,
      event.dataset,
      event.purpose,
      protocolId(store, event.protocol),
      event.t,
      event.images,
      Number.isFinite(event.seconds) ? event.seconds : null,
      JSON.stringify(event.classNames),
      jsonNumbers(event.iou),
      jsonNumbers(event.baselines),
      event.counts,
      counts,
    ) as { id: number } | undefined
    if (!row) return
    for (const [name, value] of Object.entries(event.values)) {
      const kind = kindOf(value)
      sql(
        `INSERT INTO eval_values (evaluation, name, kind, value) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET kind = excluded.kind, value = excluded.value`,
      ).run(row.id, name, kind, kind === 0 ? value : null)
    }
  }

  /** A resumed attempt repeats every step after its checkpoint: what earlier attempts said of them no longer counts. */
  function supersede(attempt: number, from: number): void {
    const gone = sql('SELECT DISTINCT name FROM metrics WHERE run = ? AND attempt < ? AND step > ?').all(
      run,
      attempt,
      from,
    )
    for (const { name } of gone as { name: number }[]) summaries.recompute(name)
    for (const table of ['metrics', 'steps', 'evaluations', 'checkpoints', 'samples'])
      sql(`DELETE FROM ${table} WHERE run = ? AND attempt < ? AND step > ?`).run(run, attempt, from)
  }

  /** Writes the summaries and what the newest attempt says of the run. */
  function finish(): void {
    summaries.write()
    sql(
      `UPDATE runs SET (status, step, total_steps, attempts, started, seen, error) = (
         SELECT coalesce(status, CASE WHEN started IS NULL THEN 'starting' ELSE 'running' END), step,
                coalesce(total_steps, runs.total_steps), attempt,
                (SELECT min(started) FROM attempts b WHERE b.run = runs.id), seen, error
         FROM attempts a WHERE a.run = runs.id ORDER BY attempt DESC LIMIT 1),
       checkpoint = (SELECT max(step) FROM checkpoints c WHERE c.run = runs.id)
       WHERE id = ? AND EXISTS (SELECT 1 FROM attempts WHERE run = runs.id)`,
    ).run(run)
  }
  return { apply, finish }
}

/** Identity of a protocol: 12 hexadecimal digits over its canonical JSON. */
export function protocolHash(protocol: Protocol): string {
  return createHash('sha256').update(canonical(protocol)).digest('hex').slice(0, 12)
}

const canonical = (value: Protocol): string =>
  JSON.stringify(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))

function protocolId(store: Store, protocol: Protocol): number {
  const hash = protocolHash(protocol)
  store
    .sql('INSERT INTO protocols (hash, json) VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(hash, JSON.stringify(protocol))
  return (store.sql('SELECT id FROM protocols WHERE hash = ?').get(hash) as { id: number }).id
}

/** JSON in which a number that is not finite is null. */
const jsonNumbers = (value: number[] | Record<string, number>): string =>
  JSON.stringify(value, (_key, v) => (typeof v === 'number' && !Number.isFinite(v) ? null : v))
