import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { basename, join } from 'node:path'
import { UserError } from '../core/errors.ts'
import { decodeEvent, type RunFinished } from '../core/events.ts'
import { claimFile } from './disk.ts'
import { livenessOf, type ProcessId, thisProcess } from './process.ts'

/** Who works on a run: the newest of the files `attempt.1`, `attempt.2`, … is the only one that may write. */
export type Attempt = { attempt: number; process: ProcessId; claimed: number }

const attemptFile = (dir: string, attempt: number): string => join(dir, `attempt.${attempt}`)

/** The newest attempt of a run, or null before the first. */
export function lastAttempt(dir: string): Attempt | null {
  const attempt = newestAttempt(readdirSync(dir))
  return attempt === 0 ? null : readAttempt(dir, attempt)
}

/** Number of the newest attempt among the files of a run folder; 0 before the first. */
export function newestAttempt(names: readonly string[]): number {
  let attempt = 0
  for (const name of names) {
    const number = /^attempt\.(\d+)$/.exec(name)
    if (number) attempt = Math.max(attempt, Number(number[1]))
  }
  return attempt
}

/**
 * Claims the next attempt for this process.
 * @param force take over from a process on another machine, which cannot be asked whether it lives
 * @throws UserError when another process works on the run, or it has finished
 */
export function claimAttempt(dir: string, { force = false }: { force?: boolean } = {}): Attempt {
  for (;;) {
    const last = lastAttempt(dir)
    if (last !== null) refuseIfTaken(dir, last, force)
    const mine: Attempt = { attempt: (last?.attempt ?? 0) + 1, process: thisProcess(), claimed: Date.now() }
    if (claimFile(attemptFile(dir, mine.attempt), JSON.stringify(mine))) return mine
  }
}

/** Whether a newer attempt has taken the run over: the older one must write nothing more and end. */
export const isFenced = (dir: string, attempt: number): boolean => existsSync(attemptFile(dir, attempt + 1))

function refuseIfTaken(dir: string, last: Attempt, force: boolean): void {
  const { host, pid } = last.process
  const state = livenessOf(last.process)
  const goodbye = readGoodbye(dir, last.attempt)
  if (goodbye?.status === 'finished') throw new UserError(`${basename(dir)} has finished already`)
  if (state === 'gone' || (state === 'unknown' && force) || goodbye !== null) return
  throw new UserError(`${basename(dir)} is being worked on by process ${pid} on ${host}`, {
    hint:
      state === 'unknown'
        ? 'if that machine is known to be down, --force takes the run over'
        : `\`gvx watch ${basename(dir)}\` shows it`,
  })
}

/** The farewell at the end of an attempt's log, after which it writes nothing, even if its process has not ended yet. */
function readGoodbye(dir: string, attempt: number): RunFinished | null {
  try {
    const fd = openSync(join(dir, `events.${attempt}.jsonl`), 'r')
    try {
      const tail = Buffer.alloc(16_384)
      const { size } = fstatSync(fd)
      const count = readSync(fd, tail, 0, tail.length, Math.max(0, size - tail.length))
      const last = tail.toString('utf8', 0, count).trimEnd().split('\n').at(-1)!
      const event = decodeEvent(last)
      return event?.type === 'run.finished' ? event : null
    } finally {
      closeSync(fd)
    }
  } catch {
    return null // no log, or a torn last line
  }
}

export function readAttempt(dir: string, attempt: number): Attempt {
  try {
    return JSON.parse(readFileSync(attemptFile(dir, attempt), 'utf8')) as Attempt
  } catch {
    // A file without content: its machine lost power between claiming and writing, so nobody is at work.
    return { attempt, process: { ...thisProcess(), boot: 'unreadable' }, claimed: 0 }
  }
}
