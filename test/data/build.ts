import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { buffer } from 'node:stream/consumers'
import zlib from 'node:zlib'
import { type Header, pack } from 'tar-stream'
import { onTestFinished } from 'vitest'
import { type Config, configSchema } from '../../lib/config/schema.ts'
import type { Batch } from '../../lib/data/batch.ts'
import type { Fault } from '../../lib/data/fault.ts'
import { encodeRgbPng } from '../../lib/data/png.ts'
import { openTrainStream } from '../../lib/data/stream.ts'

/** Files that the tests of this folder make. */

/** A folder that is gone when the test is. */
export function temporary(): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'gvx-data-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export type Member = [name: string, content: Uint8Array | string]

export async function tarOf(members: Member[], header: Partial<Header> = {}): Promise<Buffer> {
  const archive = pack()
  for (const [name, content] of members)
    archive.entry({ name, mtime: new Date(0), ...header }, Buffer.from(content as string))
  archive.finalize()
  return buffer(archive)
}

/** A 12 × 10 image whose colours depend on `n`. */
export const pngOf = (n: number): Buffer =>
  encodeRgbPng(
    Uint8Array.from({ length: 360 }, (_, i) => (i * 7 + n * 31) % 256),
    12,
    10,
  )

/** Samples `s000…` with captions that name their number. */
export const samples = (from: number, count: number): Member[] =>
  Array.from({ length: count }, (_, i) => from + i).flatMap((n) => {
    const key = `s${String(n).padStart(3, '0')}`
    return [[`${key}.png`, pngOf(n)] as Member, [`${key}.txt`, `a dog number ${n} on grass`] as Member]
  })

/** Writes shards and returns their paths. */
export async function writeShards(dir: string, shards: Member[][]): Promise<string[]> {
  const paths: string[] = []
  for (const [i, members] of shards.entries()) {
    paths.push(path.join(dir, `part-${i}.tar`))
    writeFileSync(paths[i], await tarOf(members))
  }
  return paths
}

/** A zstd frame of stored blocks, or of one repeated byte where `repeat` says how often. */
export function zstdOf(content: Uint8Array, repeat?: number): Buffer {
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58])]
  const limit = 128 * 1024
  const total = repeat ?? content.length
  for (let at = 0; at < total; at += limit) {
    const size = Math.min(limit, total - at)
    const isLast = at + size === total ? 1 : 0
    const header = Buffer.alloc(3)
    header.writeUIntLE(isLast | ((repeat === undefined ? 0 : 1) << 1) | (size << 3), 0, 3)
    parts.push(header, repeat === undefined ? Buffer.from(content.subarray(at, at + size)) : Buffer.from([0]))
  }
  return Buffer.concat(parts)
}

export const gzipOf = (content: Uint8Array): Buffer => zlib.gzipSync(content)

type Overrides = { data?: Record<string, unknown>; batchSize?: number; seed?: number; nouns?: number }

/** A small configuration that trains on these shards. */
export const configOf = (
  train: string | string[],
  { data, batchSize = 4, seed = 0, nouns = 2 }: Overrides = {},
): Config =>
  configSchema.parse({
    seed,
    data: { train, workers: 0, ...data },
    model: { imageSize: 8, patchSize: 4, text: { contextLength: 16 } },
    multiLabel: { nouns },
    train: { batchSize },
  })

/** The batches of some steps, with every fault that was told. */
export async function readSteps(config: Config, home: string, startStep: number, count: number) {
  const faults: Fault[] = []
  const stream = await openTrainStream({ config, home, startStep, onFault: (fault) => faults.push(fault) })
  try {
    const batches: Batch[] = []
    for (let i = 0; i < count; i++) batches.push(await stream.next())
    return { batches, faults, counts: stream.faults(), samplesPerEpoch: stream.samplesPerEpoch }
  } finally {
    await stream.close()
  }
}

/**
 * A zip archive, deflated unless `stored`. `wide` writes the records of zip64 as an archive beyond 4 GB has them; `claim`
 * is the size that the table of contents says of each member.
 */
export function zipOf(
  members: [name: string, content: string][],
  { stored = false, wide = false, claim }: { stored?: boolean; wide?: boolean; claim?: number } = {},
): Buffer {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [name, text] of members) {
    const content = Buffer.from(text)
    const packed = stored ? content : zlib.deflateRawSync(content)
    const header = Buffer.alloc(30)
    header.writeUInt32LE(0x04034b50, 0)
    header.writeUInt16LE(name.length, 26)
    const extra = Buffer.alloc(wide ? 28 : 0)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(stored ? 0 : 8, 10)
    entry.writeUInt32LE(zlib.crc32(content), 16)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt16LE(extra.length, 30)
    const sizes = [claim ?? content.length, packed.length, at]
    for (const [i, field] of [24, 20, 42].entries()) entry.writeUInt32LE(wide ? 0xffffffff : sizes[i], field)
    if (wide) {
      extra.writeUInt16LE(1, 0)
      extra.writeUInt16LE(24, 2)
      for (const [i, value] of sizes.entries()) extra.writeBigUInt64LE(BigInt(value), 4 + 8 * i)
    }
    parts.push(header, Buffer.from(name), packed)
    directory.push(entry, Buffer.from(name), extra)
    at += 30 + name.length + packed.length
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(wide ? 0xffff : members.length, 10)
  end.writeUInt32LE(wide ? 0xffffffff : size, 12)
  end.writeUInt32LE(wide ? 0xffffffff : at, 16)
  return Buffer.concat([...parts, ...directory, ...(wide ? wideEnd(members.length, size, at) : []), end])
}

function wideEnd(count: number, size: number, offset: number): Buffer[] {
  const record = Buffer.alloc(56)
  record.writeUInt32LE(0x06064b50, 0)
  for (const [i, value] of [count, size, offset].entries()) record.writeBigUInt64LE(BigInt(value), 32 + 8 * i)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(offset + size), 8)
  return [record, locator]
}
