import { ingestRun } from './ingest.ts'
import type { Store } from './open.ts'

/**
 * Milliseconds between two records of a run at work. Its log holds everything, and who asks the database reads the logs first: a transaction
 * at every look would only take time from the training.
 */
const RECORD_EVERY_MS = 5000

/** Brings the database up to date with a run: now, or when the last time is long ago. */
export type RecordRun = (runDir: string, when: 'now' | 'in turn') => void

/** @param onProblem is told of each folder that cannot be read, once; it must not hide the others */
export function createRecorder(store: Store, onProblem: (runDir: string, error: unknown) => void): RecordRun {
  const times = new Map<string, number>()
  const broken = new Set<string>()
  return (runDir, when) => {
    const time = performance.now()
    if (when === 'in turn' && time - (times.get(runDir) ?? -Infinity) < RECORD_EVERY_MS) return
    times.set(runDir, time)
    try {
      ingestRun(store, runDir)
    } catch (error) {
      if (broken.has(runDir)) return
      broken.add(runDir)
      onProblem(runDir, error)
    }
  }
}
