import { closeSync, fstatSync, fsyncSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../core/errors.ts'
import { decodeEvent, type Emit, encodeEvent, type LoggedEvent } from '../core/events.ts'
import { claimAttempt, isFenced } from './attempt.ts'
import { appendAll, type WriteChunk } from './disk.ts'

/** The log of one attempt, open for appending. It has one writer: the process that claimed the attempt. */
export type EventLog = {
  attempt: number
  /** Appends one line. Throws a UserError when the disk is full; the log is then as it was before. */
  emit: Emit
  /** Waits until everything emitted is on the disk: before a checkpoint that makes these steps unrepeatable. */
  sync(): void
  /** Whether a newer attempt has taken over. */
  fenced(): boolean
  close(): void
}

const HEARTBEAT_MS = 15_000

/** Claims the next attempt of a run and opens its log. Throws a UserError when another process works on the run. */
export function openEventLog(
  dir: string,
  options: { force?: boolean; now?: () => number; write?: WriteChunk } = {},
): EventLog {
  const { attempt } = claimAttempt(dir, options)
  const now = options.now ?? Date.now
  const path = logFile(dir, attempt)
  const fd = openSync(path, 'ax', 0o600)
  let size = 0
  return {
    attempt,
    emit(event) {
      const line = Buffer.from(`${encodeEvent({ ...event, t: now() })}\n`)
      appendAll(fd, size, line, path, options.write)
      size += line.length
    },
    sync: () => fsyncSync(fd),
    fenced: () => isFenced(dir, attempt),
    close: () => closeSync(fd),
  }
}

/** Emits a heartbeat every 15 s between steps; call the result to end it. A busy kernel delays it, nothing is read from that. */
export function startHeartbeat(emit: Emit, step: () => number): () => void {
  const timer = setInterval(() => {
    try {
      emit({ type: 'run.heartbeat', step: step() })
    } catch (error) {
      if (!(error instanceof UserError)) throw error // a full disk is told by the next event that matters
    }
  }, HEARTBEAT_MS)
  timer.unref()
  return () => clearInterval(timer)
}

/** Bytes read so far of the log of each attempt. */
export type Offsets = Record<number, number>

export type ReadResult = {
  events: LoggedEvent[]
  /** The attempt in whose log each event stands. */
  attempts: number[]
  /** Give these to the next call. */
  offsets: Offsets
  /** Whole lines that were no JSON: bytes that something outside gvx changed. */
  damaged: number
  /** Whether there is more than this call was allowed to read. */
  more: boolean
}

/**
 * The events after `offsets`, oldest attempt first. A line without its newline is not there yet.
 * @param maxBytes most bytes to read in one call, so that a reader stays responsive however long the log is
 * @param names the files of the folder, from a caller who has listed them
 */
export function readEvents(
  dir: string,
  offsets: Offsets = {},
  maxBytes = 8 << 20,
  names: readonly string[] = readdirSync(dir),
): ReadResult {
  const result: ReadResult = { events: [], attempts: [], offsets: { ...offsets }, damaged: 0, more: false }
  let left = maxBytes
  for (const attempt of attemptsWithLogs(names)) {
    const from = offsets[attempt] ?? 0
    if (from > 0 && statSync(logFile(dir, attempt)).size === from) continue
    const { bytes, size } = readFrom(logFile(dir, attempt), from, left)
    const whole = bytes.lastIndexOf(0x0a) + 1
    for (const line of bytes.toString('utf8', 0, whole).split('\n')) {
      if (line !== '') decodeInto(result, line, attempt)
    }
    result.offsets[attempt] = from + whole
    left -= whole
    if (from + bytes.length < size) {
      result.more = true
      break // later attempts only after this one
    }
  }
  return result
}

const logFile = (dir: string, attempt: number): string => join(dir, `events.${attempt}.jsonl`)

function attemptsWithLogs(names: readonly string[]): number[] {
  return names
    .flatMap((name) => /^events\.(\d+)\.jsonl$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

function readFrom(path: string, from: number, maxBytes: number): { bytes: Buffer; size: number } {
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const bytes = Buffer.alloc(Math.max(0, Math.min(size - from, maxBytes)))
    let done = 0
    while (done < bytes.length) {
      const count = readSync(fd, bytes, done, bytes.length - done, from + done)
      if (count === 0) break
      done += count
    }
    return { bytes: bytes.subarray(0, done), size }
  } finally {
    closeSync(fd)
  }
}

function decodeInto(result: ReadResult, line: string, attempt: number): void {
  try {
    const event = decodeEvent(line)
    if (event) {
      result.events.push(event)
      result.attempts.push(attempt)
    }
  } catch {
    result.damaged += 1
  }
}
