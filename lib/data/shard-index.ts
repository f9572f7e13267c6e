import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Fault, type FaultKind, SampleError } from './fault.ts'
import { openShardFile } from './shard-file.ts'
import { type ByteSource, readTar } from './tar.ts'

/** Offset and size of a member in the (decompressed) tar. */
export type Extent = [offset: number, size: number]

/** One webdataset sample: an image with at least one source of captions, or with the number of its class as its text. */
export type SampleEntry = { key: string; image: Extent; text: Extent | null; json: Extent | null }

export type ShardIndex = {
  path: string
  compressed: boolean
  /** Size of the (decompressed) tar. */
  bytes: number
  samples: SampleEntry[]
  faults: Fault[]
  /** Hash of the names and sizes of the samples. */
  digest: string
}

const IMAGES = new Set(['jpg', 'jpeg', 'png', 'webp'])
const TEXTS = new Set(['txt', 'text'])
const CLASSES = new Set(['cls'])
/** Larger members are left out: no photograph and no caption is. */
const MAX_IMAGE_BYTES = 128 * 2 ** 20
const MAX_TEXT_BYTES = 2 ** 20
const INDEX_VERSION = 1

/** What the partner of an image is: captions, or the number of its class in a .cls. */
export type Partner = 'caption' | 'class'

/**
 * The index of a shard, from the cache in `cacheDir` or by walking its headers. A shard that cannot be read is an empty
 * index with its fault; a missing file is one too.
 */
export function loadShardIndex(file: string, cacheDir: string, partner: Partner = 'caption'): ShardIndex {
  let stamp: string
  try {
    const { size, mtimeMs } = statSync(file)
    stamp = `${INDEX_VERSION} ${path.resolve(file)} ${size} ${mtimeMs}${partner === 'class' ? ' cls' : ''}`
  } catch {
    return unreadable(file, new SampleError('unreadable-shard', 'the file is not there'))
  }
  const cached = path.join(cacheDir, `${createHash('sha256').update(stamp).digest('hex').slice(0, 24)}.json`)
  try {
    return JSON.parse(readFileSync(cached, 'utf8')) as ShardIndex
  } catch {
    const index = indexShard(file, partner)
    mkdirSync(cacheDir, { recursive: true })
    const unfinished = `${cached}.${process.pid}.tmp`
    writeFileSync(unfinished, JSON.stringify(index))
    renameSync(unfinished, cached)
    return index
  }
}

/** Walks the headers of a shard and pairs its members. */
export function indexShard(file: string, partner: Partner = 'caption'): ShardIndex {
  try {
    const shard = openShardFile(file)
    try {
      const pairs = withDigest(pairMembers(shard, file, partner))
      return { path: file, compressed: shard.compressed, bytes: shard.size, ...pairs }
    } finally {
      shard.close()
    }
  } catch (error) {
    if (error instanceof SampleError) return unreadable(file, error)
    throw error
  }
}

const unreadable = (file: string, { kind, message }: SampleError): ShardIndex => ({
  path: file,
  compressed: false,
  bytes: 0,
  samples: [],
  faults: [{ kind, shard: file, key: null, message }],
  digest: '',
})

function withDigest(pairs: Pick<ShardIndex, 'samples' | 'faults'>): Pick<ShardIndex, 'samples' | 'faults' | 'digest'> {
  const hash = createHash('sha256')
  for (const { key, image, text, json } of pairs.samples)
    hash.update(`${JSON.stringify([key, image[1], text?.[1], json?.[1]])}\n`)
  return { ...pairs, digest: hash.digest('hex').slice(0, 16) }
}

/** Neighbours with the same key are one sample, as webdataset has it: the key ends at the first dot of the base name. */
function pairMembers(source: ByteSource, shard: string, partner: Partner): Pick<ShardIndex, 'samples' | 'faults'> {
  const texts = partner === 'class' ? CLASSES : TEXTS

  const samples: SampleEntry[] = []
  const faults: Fault[] = []
  const fault = (kind: FaultKind, key: string | null, message: string) => faults.push({ kind, shard, key, message })

  const pair = ({ key, members }: { key: string; members: Map<string, Extent> }) => {
    if (members.size === 0) return
    const first = (extensions: Set<string>) => [...extensions].map((e) => members.get(e)).find((m) => m) ?? null
    const image = first(IMAGES)
    const text = first(texts)
    const json = members.get('json') ?? null
    if (!image) fault('missing-partner', key, `has a ${partner} but no image`)
    else if (!text && !json)
      fault('missing-partner', key, `has an image but no ${partner === 'class' ? '.cls' : '.txt, .text or .json'}`)
    else samples.push({ key, image, text, json })
  }

  let open: { key: string; members: Map<string, Extent> } = { key: '', members: new Map() }
  for (const item of readTar(source)) {
    if (item.type === 'fault') {
      fault(item.kind, null, item.message)
      continue
    }
    const { key, extension, hidden } = splitName(item.name)
    if (hidden) continue
    if (!isSafeName(item.name)) {
      fault('unsafe-name', item.name, 'the name has "..", an absolute path or control characters')
      continue
    }
    const isImage = IMAGES.has(extension)
    if (!isImage && !texts.has(extension) && !(extension === 'json' && partner === 'caption')) continue
    if (open.key !== key) {
      pair(open)
      open = { key, members: new Map() }
    }
    if (item.size > (isImage ? MAX_IMAGE_BYTES : MAX_TEXT_BYTES))
      fault('oversized-member', key, `.${extension} has ${item.size} bytes`)
    else if (open.members.has(extension)) fault('duplicate-member', key, `has two .${extension}`)
    else open.members.set(extension, [item.offset, item.size])
  }
  pair(open)
  return { samples, faults }
}

function splitName(name: string): { key: string; extension: string; hidden: boolean } {
  const base = name.slice(name.lastIndexOf('/') + 1)
  const dot = base.indexOf('.')
  if (dot < 0) return { key: name, extension: '', hidden: false }
  const key = name.slice(0, name.length - base.length + dot)
  return { key, extension: base.slice(dot + 1).toLowerCase(), hidden: dot === 0 && !base.startsWith('..') }
}

/** Nothing is ever extracted, but names are printed and become keys. */
const isSafeName = (name: string): boolean =>
  !name.startsWith('/') &&
  !name.split(/[/\\]/).includes('..') &&
  !/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/.test(name)
