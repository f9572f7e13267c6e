import { resolve } from 'node:path'
import { EXIT, type ExitCode, messageOf, UserError } from '../core/errors.ts'
import { readEarlyStop } from './early-stop.ts'
import { openRunFolder } from './folder.ts'
import { openEventLog, startHeartbeat } from './log.ts'
import { listenForStop } from './stop.ts'
import { trainRun } from './training.ts'

/**
 * Trains one run to its end in this process: claims the next attempt, continues from the newest sound checkpoint, and
 * says everything through the event log. Returns the exit code: 0 when finished or stopped, 75 when preempted, the
 * error's own when it failed.
 */
export async function runWorker(runDir: string, options: { force?: boolean } = {}): Promise<ExitCode> {
  const run = openRunFolder(resolve(runDir))
  const stop = listenForStop() // first: a signal must not find a claimed run and no listener
  const log = openEventLog(run.dir, options)
  const progress = { step: 0 }
  const endHeartbeat = startHeartbeat(log.emit, () => progress.step)
  try {
    const ended = await trainRun({ run, log, signal: stop.signal, progress })
    if (log.fenced()) return EXIT.ok // a newer attempt speaks for the run now
    const status = ended === 'finished' ? 'finished' : (stop.reason() ?? 'stopped')
    const error = status === 'stopped' ? readEarlyStop(run.dir) : null
    log.emit({ type: 'run.finished', step: progress.step, status, error })
    return status === 'preempted' ? EXIT.preempted : EXIT.ok
  } catch (error) {
    if (log.fenced()) return EXIT.ok
    if (!(error instanceof UserError)) console.error(error)
    const hint = error instanceof UserError && error.hint ? ` (${error.hint})` : ''
    log.emit({ type: 'run.finished', step: progress.step, status: 'failed', error: messageOf(error) + hint })
    return error instanceof UserError ? error.exitCode : EXIT.unexpected
  } finally {
    endHeartbeat()
    stop.dispose()
    log.sync()
    log.close()
  }
}
