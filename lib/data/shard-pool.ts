import { type NounCache, readNounCache } from './noun-cache.ts'
import type { NounTags } from './nouns.ts'
import { openShardFile, type ShardFile } from './shard-file.ts'
import { type Extent, loadShardIndex, type Partner, type SampleEntry } from './shard-index.ts'

/** Open shards, the latest used ones: descriptors are few, and a compressed shard takes its whole size in memory. */
const MAX_OPEN = 64
const MAX_BYTES = 2 ** 30

type OpenShard = { file: ShardFile; samples: SampleEntry[]; nouns: NounCache | null }

export type ShardPool = {
  entry(shard: number, sample: number): SampleEntry
  /** The nouns of a caption that `gvx data index` has kept next to the shard, or null. */
  nouns(shard: number, sample: number, caption: string): string[] | null
  read(shard: number, extent: Extent): Buffer
  close(): void
}

export function createShardPool(
  paths: readonly string[],
  indexDir: string,
  { partner = 'caption', tags = null }: { partner?: Partner; tags?: NounTags | null } = {},
): ShardPool {
  const open = new Map<number, OpenShard>()

  function get(shard: number): OpenShard {
    const known = open.get(shard)
    if (known) {
      open.delete(shard)
      open.set(shard, known) // now the latest
      return known
    }
    const path = paths[shard]
    const index = loadShardIndex(path, indexDir, partner)
    const nouns = tags === null ? null : readNounCache(path, tags, index)
    const opened = { file: openShardFile(path), samples: index.samples, nouns }
    open.set(shard, opened)
    evict()
    return opened
  }

  function evict(): void {
    const memory = () => [...open.values()].reduce((sum, { file }) => sum + (file.compressed ? file.size : 0), 0)
    for (const [shard, { file }] of open) {
      if (open.size <= 1 || (open.size <= MAX_OPEN && memory() <= MAX_BYTES)) return
      file.close()
      open.delete(shard)
    }
  }

  return {
    entry: (shard, sample) => get(shard).samples[sample],
    nouns: (shard, sample, caption) => get(shard).nouns?.(sample, caption) ?? null,
    read: (shard, [offset, size]) => get(shard).file.read(offset, size),
    close() {
      for (const { file } of open.values()) file.close()
      open.clear()
    },
  }
}
