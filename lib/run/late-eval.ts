import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type EvalFinished, encodeEvent } from '../core/events.ts'
import { claimFile } from './disk.ts'

/**
 * Records an evaluation that was made after the run: the counts in `evals/eval-N.json`, then the event itself in
 * `evals/eval-N.event.json`, which is never changed. No attempt is claimed: the run may have finished, or be training.
 * `perImage` is null where an evaluation has no counts to be compared by.
 * @returns the file of the event, relative to the run's folder
 */
export function recordLateEvaluation(
  runDir: string,
  event: Omit<EvalFinished, 'type' | 'counts'>,
  perImage: unknown,
  now: () => number = Date.now,
): string {
  const folder = join(runDir, 'evals')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (let n = 1; ; n++) {
    const file = `evals/eval-${n}.event.json`
    if (existsSync(join(runDir, file))) continue
    const counts = perImage === null ? null : `evals/eval-${n}-${process.pid}.json`
    if (counts !== null) writeFileSync(join(runDir, counts), JSON.stringify(perImage), { mode: 0o600 })
    const line = encodeEvent({ type: 'eval.finished', ...event, counts, t: now() })
    if (claimFile(join(runDir, file), `${line}\n`)) return file
  }
}
