import type { LoggedEvent } from '../core/events.ts'
import type { RunStatus } from '../core/updates.ts'
import type { Liveness } from './process.ts'

/** What the log of a run and its process say together. */
export type RunState = {
  status: RunStatus
  /** Steps done by the newest attempt. */
  step: number
  totalSteps: number | null
  /** Step of the newest checkpoint, or null. */
  checkpoint: number | null
  attempts: number
  /** Why it failed, or why a sweep stopped it early. */
  error: string | null
}

/** A run of which nothing has been read. */
export const NOTHING_YET: RunState = {
  status: 'queued',
  step: 0,
  totalSteps: null,
  checkpoint: null,
  attempts: 0,
  error: null,
}

/**
 * The status of a run as a fold of its events.
 * @param claimed number of the newest attempt that a process has claimed, 0 before the first: an attempt may be claimed
 *   and have written nothing yet
 * @param liveness of the process of that attempt; `lost` needs it to be gone, silence alone proves nothing
 */
export const foldStatus = (events: readonly LoggedEvent[], claimed: number, liveness: Liveness): RunState =>
  settle(events.reduce(foldEvent, NOTHING_YET), claimed, liveness)

/** One event more; the status is what the log alone says. */
export function foldEvent(state: RunState, event: LoggedEvent): RunState {
  switch (event.type) {
    case 'run.started':
      return {
        ...state,
        status: 'running',
        step: event.resumedFrom,
        totalSteps: event.totalSteps,
        attempts: event.attempt,
        error: null,
      }
    case 'metric':
    case 'eval.finished':
    case 'run.heartbeat':
      return { ...state, step: Math.max(state.step, event.step) }
    case 'checkpoint.saved':
      return { ...state, step: Math.max(state.step, event.step), checkpoint: event.step }
    case 'run.finished':
      return { ...state, status: event.status, step: event.step, error: event.error }
    default:
      return state
  }
}

/** What the log says, corrected by what is known of the process of attempt number `claimed`. */
export function settle(logged: RunState, claimed: number, liveness: Liveness): RunState {
  // The log is read after the look at the process: what it tells of a newer attempt, that look does not concern.
  if (logged.attempts > claimed) return logged
  const begun = claimed > 0 && (logged.status === 'queued' || claimed > logged.attempts)
  if (begun) return { ...logged, attempts: claimed, status: liveness === 'gone' ? 'lost' : 'starting' }
  return logged.status === 'running' && liveness === 'gone' ? { ...logged, status: 'lost' } : logged
}

/** Statuses after which nothing more comes unless somebody starts the run again. */
export const hasEnded = (status: RunStatus): boolean =>
  status !== 'queued' && status !== 'starting' && status !== 'running'
