import { createHash } from 'node:crypto'
import { closeSync, createReadStream, existsSync, fsyncSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs'
import { mkdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, UserError } from '../core/errors.ts'
import type { OnProgress } from './scenes/write.ts'
import { openShardFile } from './shard-file.ts'
import { readTar } from './tar.ts'

/** An archive of a data set: where it is, what it must be, and what of it is kept. */
export type Archive = {
  url: string
  bytes: number
  md5: string
  /** Folder within the archive that becomes the data set. */
  root: string
  /** Folders below `root` that are unpacked. */
  keep: readonly string[]
}

export const ARCHIVES: Record<string, Archive> = {
  voc2012: {
    url: 'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar',
    bytes: 1_999_639_040,
    md5: '6cd6e144f989b92b3379bac3b3de84fd',
    root: 'VOCdevkit/VOC2012',
    keep: ['JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'],
  },
}

export type DownloadOptions = {
  archive: Archive
  /** The data set's folder appears here under the last name of the archive's root. */
  dir: string
  onProgress?: OnProgress
  signal: AbortSignal
  /** Milliseconds before another attempt when the connection breaks off. */
  pauses?: readonly number[]
}

/**
 * Fetches an archive (going on where an earlier attempt stopped), checks it and unpacks what the evaluation needs.
 * Returns the folder of the data set.
 *
 * @throws UserError where the disk is too small, the server does not answer or sends something else.
 */
export async function downloadDataset(options: DownloadOptions): Promise<string> {
  const { archive, dir } = options
  const target = path.join(dir, path.basename(archive.root))
  if (existsSync(target)) throw new UserError(`${target} is already there.`)
  mkdirSync(dir, { recursive: true })
  const part = path.join(dir, `${path.basename(new URL(archive.url).pathname)}.part`)
  await requireSpace(dir, archive.bytes * 2 - sizeOf(part))
  await fetchAll(options, part)
  await requireChecksum(part, archive)
  const unfinished = `${target}.tmp`
  await rm(unfinished, { recursive: true, force: true })
  await unpack(part, unfinished, archive)
  await rename(unfinished, target)
  await rm(part)
  return target
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  const free = bavail * bsize
  if (free < bytes)
    throw new UserError(`${dir} has ${gigabytes(free)} left, the download and its contents need ${gigabytes(bytes)}.`)
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

async function fetchAll(options: DownloadOptions, part: string): Promise<void> {
  const { archive, signal, pauses = [1000, 5000, 20_000] } = options
  for (let attempt = 0; sizeOf(part) < archive.bytes; attempt++) {
    const before = sizeOf(part)
    try {
      await fetchRest(options, part)
      if (sizeOf(part) >= archive.bytes) return
      throw new Error('the connection ended early')
    } catch (error) {
      if (error instanceof UserError || signal.aborted) throw error
      if (sizeOf(part) > before) attempt = 0
      if (attempt >= pauses.length)
        throw new UserError(
          `${archive.url} broke off at ${sizeOf(part)} of ${archive.bytes} bytes: ${messageOf(error)}.`,
          {
            hint: 'The same command goes on from there.',
          },
        )
      await sleep(pauses[attempt], undefined, { signal })
    }
  }
}

async function fetchRest({ archive, signal, onProgress }: DownloadOptions, part: string): Promise<void> {
  const have = sizeOf(part)
  const response = await fetch(archive.url, { signal, headers: have > 0 ? { range: `bytes=${have}-` } : {} })
  if (!response.ok || !response.body)
    throw response.status >= 500
      ? new Error(`the server said ${response.status}`)
      : new UserError(`${archive.url} answered ${response.status} ${response.statusText}.`)
  const resumes = response.status === 206
  const start = resumes ? have : 0
  const claimed = response.headers.get('content-length')
  if (claimed !== null && start + Number(claimed) !== archive.bytes)
    throw new UserError(`${archive.url} is ${start + Number(claimed)} bytes long, expected ${archive.bytes}.`, {
      hint: 'This is another file than the one gvx knows; nothing of it is kept.',
    })
  const file = openSync(part, resumes ? 'a' : 'w')
  try {
    let total = start
    for await (const chunk of response.body) {
      total += chunk.length
      if (total > archive.bytes)
        throw new UserError(`${archive.url} sends more than the ${archive.bytes} bytes it has.`)
      if (writeSync(file, chunk) !== chunk.length) throw new UserError(`The disk of ${part} is full.`)
      onProgress?.(total, archive.bytes)
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

async function requireChecksum(part: string, { url, md5 }: Archive): Promise<void> {
  const hash = createHash('md5')
  for await (const chunk of createReadStream(part)) hash.update(chunk)
  const found = hash.digest('hex')
  if (found === md5) return
  await rm(part)
  throw new UserError(`${url} has the checksum ${found}, expected ${md5}; the file is deleted.`, {
    hint: 'Try again; if it happens twice, the server has another file.',
  })
}

async function unpack(file: string, target: string, { root, keep }: Archive): Promise<void> {
  const source = openShardFile(file)
  try {
    for (const item of readTar(source)) {
      if (item.type === 'fault') throw new UserError(`${file}: ${item.message}.`)
      const inside = path.posix.relative(root, path.posix.normalize(item.name))
      if (!keep.some((folder) => inside.startsWith(`${folder}/`))) continue
      const out = path.join(target, inside)
      await mkdir(path.dirname(out), { recursive: true })
      await writeFile(out, source.read(item.offset, item.size))
    }
  } finally {
    source.close()
  }
}
