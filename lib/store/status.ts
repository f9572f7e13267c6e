import { basename } from 'node:path'
import type { RunStatus } from '../core/updates.ts'
import { lastAttempt } from '../run/attempt.ts'
import { livenessOf } from '../run/process.ts'
import { type RunState, settle } from '../run/status.ts'
import { ingestAll, runFolders } from './ingest.ts'
import type { Store } from './open.ts'

/** Reads every log and asks after the processes of runs that say they run: what a command does before it reads. */
export function refresh(store: Store, onProblem: (runDir: string, error: unknown) => void): void {
  ingestAll(store, onProblem)
  refreshStatuses(store)
}

/** Corrects the status of runs that have not ended by what is known of their processes: none stays `running` for ever. */
export function refreshStatuses(store: Store): void {
  const open = store
    .sql("SELECT id, status, step, attempts FROM runs WHERE status IN ('queued', 'starting', 'running', 'lost')")
    .all() as { id: number; status: RunStatus; step: number; attempts: number }[]
  if (open.length === 0) return
  const folders = new Map(runFolders(store.home).map((dir) => [basename(dir), dir]))
  for (const run of open) {
    const status = statusNow(run, folders.get(`run${run.id}`))
    if (status !== run.status) store.sql('UPDATE runs SET status = ? WHERE id = ?').run(status, run.id)
  }
}

function statusNow(run: { status: RunStatus; step: number; attempts: number }, dir: string | undefined): RunStatus {
  if (!dir) return 'lost'
  const last = lastAttempt(dir)
  // What the log alone says: `lost` and `starting` were our own conclusions.
  const logged: RunStatus = run.attempts === 0 ? 'queued' : 'running'
  const state: RunState = {
    status: logged,
    step: run.step,
    totalSteps: null,
    checkpoint: null,
    attempts: run.attempts,
    error: null,
  }
  return settle(state, last?.attempt ?? 0, last ? livenessOf(last.process) : 'gone').status
}
