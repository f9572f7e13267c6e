import type { LoggedEvent } from './events.ts'

/**
 * What an observer of runs is told: the live screen, the plain printer and the tests fold this one stream.
 * A sweep, a single training and `gvx watch` all speak it.
 */

/** `lost`: the process is known to be gone without having said goodbye; resumable like `stopped`. */
export type RunStatus = 'queued' | 'starting' | 'running' | 'finished' | 'stopped' | 'preempted' | 'failed' | 'lost'

/** What is done about a point: `running` and `watch` are only looked at, somebody else works on them or did. */
export type PointAction = 'new' | 'resume' | 'retry' | 'skip' | 'running' | 'watch'

export type PlannedPoint = {
  /** Stable within the sweep: `two-stage/seed=1`. */
  key: string
  /** Label without the seed, the group of the leaderboard: `two-stage`. */
  label: string
  seed: number
  /** Values that differ within the sweep, by config key. */
  overrides: Record<string, unknown>
  configHash: string
  totalSteps: number
  action: PointAction
  /** One clause that explains the action: `finished as run3`. */
  reason: string
  /** Name of the run that stands for the point, `run12`, once there is one. */
  run: string | null
}

export type Update =
  | { type: 'session'; title: string; question: string; file: string | null; jobs: number; points: PlannedPoint[] }
  | { type: 'preparing'; what: string; done: number; total: number }
  | { type: 'run.attached'; key: string; run: string; resumedFrom: number }
  | { type: 'run.events'; run: string; events: LoggedEvent[] }
  | { type: 'run.status'; run: string; status: RunStatus; reason: string | null }
  | { type: 'message'; level: 'info' | 'warning' | 'error'; text: string }
  | { type: 'session.done'; finished: number; failed: number; stopped: number; skipped: number }

export type Observe = (update: Update) => void
