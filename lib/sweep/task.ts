import type { Observe } from '../core/updates.ts'
import type { Launcher, Worker } from '../launch/launcher.ts'
import type { RunFolder } from '../run/folder.ts'
import { type Follower, followRun } from '../run/follow.ts'
import { hasEnded, type RunState } from '../run/status.ts'
import type { PlanEntry } from './plan.ts'

/** A point that is being worked on, by a worker that this process or another started. */
export type Task = {
  entry: PlanEntry
  folder: RunFolder
  follow: Follower
  state: RunState
  /** Attempts up to this one had ended before this task began to wait. */
  after: number
  /** The worker that this process started and that has not ended. */
  worker: Worker | null
  /** Since when the task waits for somebody to begin, in milliseconds since the epoch. */
  since: number
  retries: number
  /** The worker has been told that the run is hopeless. */
  givenUp: boolean
  /** The last wish of the user that reached the worker. */
  urged: string
}

/** A run that another supervisor has claimed but not begun is begun here after so long: that one may have died. */
const ABANDONED_MS = 5000

/** Begins to follow a run, and tells the observer everything that is known of it. */
export function openTask(
  entry: PlanEntry,
  folder: RunFolder,
  { observe, force }: { observe: Observe; force: boolean },
): Task {
  const run = folder.identity.id
  const follow = followRun(folder.dir, { force })
  const events: Parameters<Parameters<Follower>[0] & object>[0][] = []
  const state = follow((batch) => events.push(batch))
  observe({ type: 'run.attached', key: entry.planned.key, run, resumedFrom: state.checkpoint ?? 0 })
  for (const batch of events) observe({ type: 'run.events', run, events: batch })
  observe({ type: 'run.status', run, status: state.status, reason: state.error })
  const after = Math.max(0, state.attempts - 1)
  return {
    entry,
    folder,
    follow,
    state,
    after,
    worker: null,
    since: Date.now(),
    retries: 0,
    givenUp: false,
    urged: 'go',
  }
}

/** Starts a worker for the task's run; what earlier attempts came to is of no interest from here on. */
export async function launchTask(
  task: Task,
  { launcher, threads, force }: { launcher: Launcher; threads: number; force: boolean },
): Promise<void> {
  task.after = task.state.attempts
  task.since = Date.now()
  task.worker = await launcher.start(task.folder, { threads, force })
}

/** Reads what is new. True when the run has ended. */
export function refreshTask(task: Task, observe: Observe): boolean {
  const run = task.folder.identity.id
  const workerEnded = task.worker?.ended() ?? false // asked before the log is read, so that the log has its last word
  const before = task.state.status
  task.state = task.follow((events) => observe({ type: 'run.events', run, events }))
  if (workerEnded) {
    task.worker = null
    if (task.state.status === 'queued')
      task.state = { ...task.state, status: 'failed', error: 'its worker ended without a trace' }
    // A worker that found the run taken or finished adds no attempt: then the one that is there counts.
    task.after = Math.min(task.after, task.state.attempts - 1)
  }
  if (task.state.status !== before)
    observe({ type: 'run.status', run, status: task.state.status, reason: task.state.error })
  return hasEnded(task.state.status) && task.state.attempts > task.after
}

/** Whether nobody seems to come to begin the run. */
export const isAbandoned = (task: Task): boolean =>
  task.worker === null && task.state.status === 'queued' && Date.now() - task.since > ABANDONED_MS
