import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from './disk.ts'

/**
 * That a sweep has given a run up: `early-stop.json` in its folder, written before its worker is asked to end, who puts the reason into the
 * log. It outlives supervisor and worker, so that no later sweep takes the run up unasked. Who does ask overrules it, for good.
 */
type EarlyStop = { t: number; reason: string; overruled: number | null }

const fileOf = (runDir: string): string => join(runDir, 'early-stop.json')

/** Why the run was given up; null when it was not, or somebody has asked for it since. */
export function readEarlyStop(runDir: string): string | null {
  const stop = read(runDir)
  return stop === null || stop.overruled !== null ? null : stop.reason
}

/** Gives a run up. False when that has been overruled, and stays so. */
export function recordEarlyStop(runDir: string, reason: string, now: number): boolean {
  const stop = read(runDir)
  if (stop === null) write(runDir, { t: now, reason, overruled: null })
  return stop === null || stop.overruled === null
}

/** Lets a run go on to its end, if it had been given up. */
export function overruleEarlyStop(runDir: string, now: number): void {
  const stop = read(runDir)
  if (stop !== null && stop.overruled === null) write(runDir, { ...stop, overruled: now })
}

const write = (runDir: string, stop: EarlyStop): void => replaceFile(fileOf(runDir), `${JSON.stringify(stop)}\n`)

function read(runDir: string): EarlyStop | null {
  try {
    return JSON.parse(readFileSync(fileOf(runDir), 'utf8')) as EarlyStop
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
