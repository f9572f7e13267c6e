import { createHash } from 'node:crypto'
import { closeSync, createReadStream, existsSync, fsyncSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs'
import { mkdir, rename, rm, statfs, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { OnProgress } from './scenes/write.ts'
import { openShardFile } from './shard-file.ts'
import { type ByteSource, readTar } from './tar.ts'
import { readZip } from './zip.ts'

/** An archive: where it is, what it must be, and what of it is kept. */
export type Archive = {
  url: string
  /** Null where only the server knows. */
  bytes: number | null
  /** Null where nobody publishes one: the checksums within the zip must do. */
  md5: string | null
  /** Folders of the archive that are unpacked, with the folders of the data set that they become. */
  keep: Readonly<Record<string, string>>
}

/** A data set: the folder that it becomes and the archives that it comes in. */
export type Dataset = { folder: string; archives: readonly Archive[] }

const VOC = 'VOCdevkit/VOC2012'
const COCO = 'http://images.cocodataset.org'

export const DATASETS: Record<string, Dataset> = {
  voc2012: {
    folder: 'VOC2012',
    archives: [
      {
        url: 'http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar',
        bytes: 1_999_639_040,
        md5: '6cd6e144f989b92b3379bac3b3de84fd',
        keep: {
          [`${VOC}/JPEGImages`]: 'JPEGImages',
          [`${VOC}/SegmentationClass`]: 'SegmentationClass',
          [`${VOC}/ImageSets/Segmentation`]: 'ImageSets/Segmentation',
        },
      },
    ],
  },
  /** What COCO-Object and COCO-Stuff are evaluated on: the images of val and COCO-Stuff's pixel maps. */
  coco2017: {
    folder: 'coco2017',
    archives: [
      {
        url: `${COCO}/zips/val2017.zip`,
        bytes: 815_585_330,
        md5: '442b8da7639aecaf257c1dceb8ba8c80',
        keep: { val2017: 'images/val2017' },
      },
      {
        url: 'http://calvin.inf.ed.ac.uk/wp-content/uploads/data/cocostuffdataset/stuffthingmaps_trainval2017.zip',
        bytes: null,
        md5: null,
        keep: { val2017: 'stuffthingmaps/val2017' },
      },
    ],
  },
  /** Images and captions to train on: gvx data pack makes shards of them. */
  'coco2017-captions': {
    folder: 'coco2017-captions',
    archives: [
      {
        url: `${COCO}/annotations/annotations_trainval2017.zip`,
        bytes: 252_907_541,
        md5: 'f4bbac642086de4f52a3fdda2de5fa2c',
        keep: { annotations: 'annotations' },
      },
      {
        url: `${COCO}/zips/train2017.zip`,
        bytes: null,
        md5: 'cced6f7f71b7629ddf16f17bbcfab6b2',
        keep: { train2017: 'train2017' },
      },
    ],
  },
}

export type DownloadOptions = {
  dataset: Dataset
  /** The data set's folder appears here. */
  dir: string
  onProgress?: OnProgress
  signal: AbortSignal
  /** Milliseconds before another attempt when the connection breaks off. */
  pauses?: readonly number[]
}

/** An archive whose size is known. */
type Sized = Archive & { bytes: number; part: string }

/**
 * Fetches the archives of a data set (going on where an earlier attempt stopped), checks them and unpacks what gvx needs.
 * Returns the folder of the data set.
 *
 * @throws UserError where the disk is too small, the server does not answer or sends something else.
 */
export async function downloadDataset(options: DownloadOptions): Promise<string> {
  const { dataset, dir, signal } = options
  const target = path.join(dir, dataset.folder)
  if (existsSync(target)) throw new UserError(`${target} is already there.`)
  mkdirSync(dir, { recursive: true })
  const archives: Sized[] = []
  for (const archive of dataset.archives) {
    const part = path.join(dir, `${path.basename(new URL(archive.url).pathname)}.part`)
    archives.push({ ...archive, part, bytes: archive.bytes ?? (await askSize(archive.url, signal)) })
  }
  // the archives and what comes out of them, less what has arrived
  await requireSpace(
    dir,
    archives.reduce((sum, { bytes, part }) => sum + 2 * bytes - sizeOf(part), 0),
  )
  for (const archive of archives) {
    await fetchAll(options, archive)
    await requireChecksum(archive)
  }
  const unfinished = `${target}.tmp`
  await rm(unfinished, { recursive: true, force: true })
  for (const archive of archives) await unpack(archive, unfinished)
  await rename(unfinished, target)
  for (const { part } of archives) await rm(part)
  return target
}

async function askSize(url: string, signal: AbortSignal): Promise<number> {
  let response: Response
  try {
    response = await fetch(url, { method: 'HEAD', signal })
  } catch (error) {
    throw new UserError(`${url} does not answer: ${messageOf(error)}.`)
  }
  const bytes = Number(response.headers.get('content-length') ?? Number.NaN)
  if (!response.ok) throw new UserError(`${url} answered ${response.status} ${response.statusText}.`)
  if (!Number.isSafeInteger(bytes) || bytes === 0) throw new UserError(`${url} does not say how long it is.`)
  return bytes
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

async function requireSpace(dir: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir)
  const free = bavail * bsize
  if (free < bytes)
    throw new UserError(`${dir} has ${gigabytes(free)} left, the download and its contents need ${gigabytes(bytes)}.`)
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

async function fetchAll(options: DownloadOptions, archive: Sized): Promise<void> {
  const { signal, pauses = [1000, 5000, 20_000] } = options
  const { part } = archive
  for (let attempt = 0; sizeOf(part) < archive.bytes; attempt++) {
    const before = sizeOf(part)
    try {
      await fetchRest(options, archive)
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

async function fetchRest({ signal, onProgress }: DownloadOptions, archive: Sized): Promise<void> {
  const { part } = archive
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

async function requireChecksum({ url, md5, part }: Sized): Promise<void> {
  if (md5 === null) return
  const hash = createHash('md5')
  for await (const chunk of createReadStream(part)) hash.update(chunk)
  const found = hash.digest('hex')
  if (found === md5) return
  await rm(part)
  throw new UserError(`${url} has the checksum ${found}, expected ${md5}; the file is deleted.`, {
    hint: 'Try again; if it happens twice, the server has another file.',
  })
}

async function unpack(archive: Sized, target: string): Promise<void> {
  const source = openShardFile(archive.part)
  try {
    for (const { name, read } of membersOf(source, archive)) {
      const inside = path.posix.normalize(name)
      const kept = Object.keys(archive.keep).find((folder) => inside.startsWith(`${folder}/`))
      if (kept === undefined) continue
      const out = path.join(target, archive.keep[kept], path.posix.relative(kept, inside))
      await mkdir(path.dirname(out), { recursive: true })
      await writeFile(out, read())
    }
  } catch (error) {
    if (error instanceof UserError || (error as NodeJS.ErrnoException).code !== undefined) throw error
    await rm(archive.part)
    throw new UserError(`${archive.url} cannot be unpacked: ${printable(messageOf(error))}; the file is deleted.`, {
      hint: 'Try again; if it happens twice, the server has another file.',
    })
  } finally {
    source.close()
  }
}

function* membersOf(source: ByteSource, { url }: Archive): Generator<{ name: string; read(): Buffer }> {
  if (url.endsWith('.zip')) return yield* readZip(source)
  for (const item of readTar(source)) {
    if (item.type === 'fault') throw new Error(item.message)
    yield { name: item.name, read: () => source.read(item.offset, item.size) }
  }
}
