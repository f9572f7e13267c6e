import { UserError } from '../core/errors.ts'
import { lastAttempt } from '../run/attempt.ts'
import type { RunFolder } from '../run/folder.ts'
import { readRunState } from '../run/follow.ts'
import { type EventLog, openEventLog } from '../run/log.ts'
import { startedAt, thisProcess } from '../run/process.ts'

export const attemptsOf = (run: RunFolder): number => lastAttempt(run.dir)?.attempt ?? 0

/**
 * Writes down, in the run's own log, that a worker ended before it could write anything itself. Nothing is written when
 * somebody else works on the run by now: then the worker ended because of that.
 */
export function recordFailedStart(run: RunFolder, status: 'failed' | 'stopped', error: string): void {
  const before = readRunState(run.dir)
  const log = openUnlessTaken(run.dir)
  if (log === null) return
  const me = thisProcess()
  log.emit({
    type: 'run.started',
    attempt: log.attempt,
    resumedFrom: before.step, // nothing was repeated, so nothing recorded is superseded
    totalSteps: before.totalSteps ?? 0,
    host: me.host,
    pid: me.pid,
    pidStarted: startedAt(me),
    backend: 'none',
    device: 'none',
    threads: 0,
    git: run.identity.git,
    versions: run.identity.versions,
  })
  log.emit({ type: 'run.finished', step: before.step, status, error })
  log.close()
}

function openUnlessTaken(dir: string): EventLog | null {
  try {
    return openEventLog(dir)
  } catch (error) {
    if (error instanceof UserError) return null
    throw error
  }
}
