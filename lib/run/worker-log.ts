import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { printable } from '../core/text.ts'
import { lastAttempt } from './attempt.ts'

const TAIL_BYTES = 64 << 10

/** File that takes what the process of an attempt prints. */
export const workerLogFile = (dir: string, attempt: number): string => join(dir, `worker.${attempt}.log`)

/** The last line that is neither a place in a stack nor Node's signature: what was thrown, or a sentence of ours. */
export function lastWords(lines: readonly string[]): string | null {
  const telling = lines.map((line) => line.trim()).filter((line) => !/^(at |Node\.js v|[{}[\],^]*$|code: )/.test(line))
  return telling.length === 0 ? null : printable(telling.at(-1)!)
}

/** The last lines that the newest worker of a run printed; none when it printed nothing. */
export function readWorkerLog(dir: string): string[] {
  const attempt = lastAttempt(dir)?.attempt ?? 1
  try {
    const fd = openSync(workerLogFile(dir, attempt), 'r')
    try {
      const { size } = fstatSync(fd)
      const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
      const count = readSync(fd, bytes, 0, bytes.length, size - bytes.length)
      const lines = bytes.toString('utf8', 0, count).split('\n')
      return size > TAIL_BYTES ? lines.slice(1) : lines
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
