import { mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { configHash } from '../config/hash.ts'
import type { Config } from '../config/schema.ts'
import { EXIT, type ExitCode, messageOf, UserError } from '../core/errors.ts'
import type { EvalFinished } from '../core/events.ts'
import { openSegmentationSet } from '../data/segmentation-set.ts'
import { openTrainStream } from '../data/stream.ts'
import { type EvalResult, evaluateSegmentation } from '../eval/evaluate.ts'
import { initParams } from '../model/init.ts'
import { type Params, openBackend, tf } from '../tensor/index.ts'
import { createAdamW } from '../train/adamw.ts'
import { trainLoop } from '../train/loop.ts'
import { trainStep } from '../train/step.ts'
import { bestCheckpoint, latestCheckpoint, saveCheckpoint, type TrainingState } from './checkpoint.ts'
import { openRunFolder, readRunConfig, type RunFolder } from './folder.ts'
import { type EventLog, openEventLog, startHeartbeat } from './log.ts'
import { thisProcess } from './process.ts'
import { listenForStop, type StopRequest } from './stop.ts'

/**
 * Trains one run to its end in this process: claims the next attempt, continues from the newest sound checkpoint, and
 * says everything through the event log. Returns the exit code: 0 when finished or stopped, 75 when preempted, 1 or
 * the error's own code when it failed.
 */
export async function runWorker(runDir: string, options: { force?: boolean } = {}): Promise<ExitCode> {
  const run = openRunFolder(resolve(runDir))
  const log = openEventLog(run.dir, options)
  const stop = listenForStop()
  const progress = { step: 0 }
  const endHeartbeat = startHeartbeat(log.emit, () => progress.step)
  try {
    const ended = await train(run, log, stop, progress)
    if (log.fenced()) return EXIT.ok // a newer attempt speaks for the run now
    const status = ended === 'finished' ? 'finished' : (stop.reason() ?? 'stopped')
    log.emit({ type: 'run.finished', step: progress.step, status, error: null })
    return status === 'preempted' ? EXIT.preempted : EXIT.ok
  } catch (error) {
    if (log.fenced()) return EXIT.ok
    if (!(error instanceof UserError)) console.error(error)
    const hint = error instanceof UserError && error.hint ? ` (${error.hint})` : ''
    log.emit({ type: 'run.finished', step: progress.step, status: 'failed', error: messageOf(error) + hint })
    return error instanceof UserError && error.exitCode !== EXIT.usage ? error.exitCode : EXIT.unexpected
  } finally {
    endHeartbeat()
    stop.dispose()
    log.sync()
    log.close()
  }
}
