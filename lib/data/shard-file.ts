import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import zlib from 'node:zlib'
import { Decompress } from 'fzstd'
import { messageOf } from '../core/errors.ts'
import { SampleError } from './fault.ts'
import type { ByteSource } from './tar.ts'

/** An open shard. A compressed one lies decompressed in memory. */
export type ShardFile = ByteSource & { compressed: boolean; close(): void }

/** A compressed shard may not grow beyond both this and this many times its size: photographs hardly compress. */
const FREE_BYTES = 64 * 2 ** 20
const MAX_RATIO = 100
const MAX_BYTES = 3 * 2 ** 30

/**
 * Opens a .tar, .tar.gz or .tar.zst; what it is, its first bytes say.
 *
 * @throws SampleError `unreadable-shard` or `decompression-bomb`
 */
export function openShardFile(path: string): ShardFile {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    throw new SampleError('unreadable-shard', messageOf(error))
  }
  const { size } = fstatSync(descriptor)
  const magic = Buffer.alloc(4)
  readSync(descriptor, magic, 0, 4, 0)
  const isGzip = magic[0] === 0x1f && magic[1] === 0x8b
  const isZstd = magic.readUInt32LE(0) === 0xfd2fb528
  if (!isGzip && !isZstd) {
    const read = (offset: number, length: number): Buffer => {
      const bytes = Buffer.allocUnsafe(length)
      const got = readSync(descriptor, bytes, 0, length, offset)
      return bytes.subarray(0, got)
    }
    return { size, compressed: false, read, close: () => closeSync(descriptor) }
  }
  closeSync(descriptor)
  const limit = Math.min(MAX_BYTES, Math.max(FREE_BYTES, size * MAX_RATIO))
  const content = isGzip ? gunzip(readFileSync(path), limit) : unzstd(readFileSync(path), limit)
  return {
    size: content.length,
    compressed: true,
    read: (offset, length) => content.subarray(offset, offset + length),
    close: () => {},
  }
}

function gunzip(bytes: Buffer, limit: number): Buffer {
  try {
    // Z_SYNC_FLUSH keeps what a truncated file still holds; the tar reader then reports the truncation.
    return zlib.gunzipSync(bytes, { maxOutputLength: limit, finishFlush: zlib.constants.Z_SYNC_FLUSH })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw bomb(limit)
    throw new SampleError('unreadable-shard', `gzip: ${messageOf(error)}`)
  }
}

function unzstd(bytes: Buffer, limit: number): Buffer {
  const parts: Uint8Array[] = []
  let total = 0
  const stream = new Decompress((part) => {
    total += part.length
    if (total > limit) throw bomb(limit)
    parts.push(part.slice())
  })
  const step = 1 << 20
  try {
    for (let at = 0; at < bytes.length; at += step)
      stream.push(bytes.subarray(at, at + step), at + step >= bytes.length)
  } catch (error) {
    if (error instanceof SampleError) throw error
    if (total === 0) throw new SampleError('unreadable-shard', `zstd: ${messageOf(error)}`)
  }
  return Buffer.concat(parts)
}

const bomb = (limit: number): SampleError =>
  new SampleError('decompression-bomb', `grows beyond ${Math.round(limit / 2 ** 20)} MiB when decompressed`)
