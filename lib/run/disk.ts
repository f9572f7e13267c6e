import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { EXIT, UserError } from '../core/errors.ts'

/** `fs.writeSync`, as an argument so that a test can play a full disk. */
export type WriteChunk = (fd: number, bytes: Uint8Array, offset: number, length: number) => number

/**
 * Writes all bytes or throws. On a full disk `writeSync` may write a part of the bytes without an error (measured), so
 * the count is what is believed: the rest is tried once more, and a write of nothing is a full disk.
 */
function writeAll(fd: number, bytes: Uint8Array, path: string, write: WriteChunk = writeSync): void {
  let done = 0
  while (done < bytes.length) {
    let count: number
    try {
      count = write(fd, bytes, done, bytes.length - done)
    } catch (error) {
      throw diskError(error, path)
    }
    if (count === 0) throw fullDisk(path, null)
    done += count
  }
}

/** Appends all bytes or leaves the file as long as it was: half a line would spoil the next one. */
export function appendAll(fd: number, size: number, bytes: Uint8Array, path: string, write?: WriteChunk): void {
  try {
    writeAll(fd, bytes, path, write)
  } catch (error) {
    ftruncateSync(fd, size)
    throw error
  }
}

/** Creates a file with all its bytes on the disk. */
export function writeDurably(path: string, bytes: Uint8Array, write?: WriteChunk): void {
  const fd = openForWriting(path)
  try {
    writeAll(fd, bytes, path, write)
    fsyncSync(fd)
  } catch (error) {
    throw diskError(error, path)
  } finally {
    closeSync(fd)
  }
}

/** Replaces a small file so that a reader sees the old one or the new one, never a part of one. */
export function replaceFile(path: string, text: string): void {
  const next = `${path}.${process.pid}.tmp`
  writeDurably(next, Buffer.from(text))
  renameSync(next, path)
  syncFolder(dirname(path))
}

/** Makes renames in a folder survive a power cut. */
export function syncFolder(dir: string): void {
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Creates a file that nobody else has created: of any number of callers, on any file system with hard links, one gets
 * true. Its content is complete from the first moment it can be seen, which `open` with O_EXCL alone does not give.
 */
export function claimFile(path: string, text: string): boolean {
  const mine = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`
  writeDurably(mine, Buffer.from(text))
  try {
    linkSync(mine, path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error
    return claimWithoutLinks(path, text)
  } finally {
    unlinkSync(mine)
  }
}

function claimWithoutLinks(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function openForWriting(path: string): number {
  try {
    return openSync(path, 'w', 0o600)
  } catch (error) {
    throw diskError(error, path)
  }
}

function diskError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' ? fullDisk(path, error) : error
}

const fullDisk = (path: string, cause: unknown): UserError =>
  new UserError(`the disk is full: ${path} could not be written`, {
    hint: 'make room and run the same command again: it goes on from the last checkpoint',
    exitCode: EXIT.environment,
    cause,
  })
