import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { messageOf, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { readCaptions } from './captions.ts'
import { SampleError } from './fault.ts'
import { type NounTags, nounsOf, TAGGER } from './nouns.ts'
import { openShardFile } from './shard-file.ts'
import type { ShardIndex } from './shard-index.ts'

/** The nouns of one caption of a sample, where a shard's cache knows them. */
export type NounCache = (sample: number, caption: string) => string[] | null

type Stored = {
  /** Format, tagger and tags that made it, and the names and sizes of the shard's samples. */
  fingerprint: string
  /** For each sample the nouns of each caption, behind the caption's hash. */
  samples: [hash: number, ...nouns: string[]][][]
}

const VERSION = 1
const fingerprintOf = (tags: NounTags, { digest }: ShardIndex): string => [VERSION, TAGGER, tags, digest].join(' ')

/** Hidden, so that no pattern takes it for a shard: `.part-0.tar.reference.nouns.json`. */
const cacheFile = (shard: string, tags: NounTags): string =>
  path.join(path.dirname(shard), `.${path.basename(shard)}.${tags}.nouns.json`)

/**
 * Tags every caption of a shard and writes its nouns next to it. Returns the number of captions; captions that cannot be
 * used are left to the stream, which names them.
 *
 * @throws UserError where the folder cannot be written
 */
export function writeNounCache(shard: string, tags: NounTags, index: ShardIndex): number {
  const file = cacheFile(shard, tags)
  if (index.samples.length === 0) return 0
  const source = openShardFile(shard)
  let captions = 0
  try {
    const samples = index.samples.map(({ text, json }) => {
      const found = usable(() => readCaptions(text && source.read(...text), json && source.read(...json)))
      captions += found.length
      return found.map((caption): [number, ...string[]] => [hashOf(caption), ...nounsOf(caption, tags)])
    })
    const stored: Stored = { fingerprint: fingerprintOf(tags, index), samples }
    const unfinished = `${file}.${process.pid}.tmp`
    try {
      writeFileSync(unfinished, JSON.stringify(stored))
      renameSync(unfinished, file)
    } catch (error) {
      rmSync(unfinished, { force: true })
      throw new UserError(`${printable(file)} cannot be written: ${messageOf(error)}.`, {
        hint: 'the nouns are kept next to the shards; without them the stream finds them itself',
      })
    }
  } finally {
    source.close()
  }
  return captions
}

function usable(read: () => string[]): string[] {
  try {
    return read()
  } catch (error) {
    if (error instanceof SampleError) return []
    throw error
  }
}

/** The cache of a shard, or null where there is none, or one of other captions, tags or another tagger. */
export function readNounCache(shard: string, tags: NounTags, index: ShardIndex): NounCache | null {
  const file = cacheFile(shard, tags)
  if (!existsSync(file)) return null
  let stored: Stored
  try {
    stored = JSON.parse(readFileSync(file, 'utf8')) as Stored
  } catch {
    return null
  }
  if (stored.fingerprint !== fingerprintOf(tags, index)) return null
  return (sample, caption) => {
    const hash = hashOf(caption)
    const found = stored.samples[sample]?.find(([known]) => known === hash)
    return found ? (found.slice(1) as string[]) : null
  }
}

/** FNV-1a over UTF-16 units, 32 bits: tells a caption that was exchanged for another of its length. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
