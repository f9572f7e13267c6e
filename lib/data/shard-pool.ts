import { openShardFile, type ShardFile } from './shard-file.ts'
import { type Extent, loadShardIndex, type Partner, type SampleEntry } from './shard-index.ts'

/** Open shards, the latest used ones: descriptors are few, and a compressed shard takes its whole size in memory. */
const MAX_OPEN = 64
const MAX_BYTES = 2 ** 30

type OpenShard = { file: ShardFile; samples: SampleEntry[] }

export type ShardPool = {
  entry(shard: number, sample: number): SampleEntry
  read(shard: number, extent: Extent): Buffer
  close(): void
}

export function createShardPool(paths: readonly string[], indexDir: string, partner: Partner = 'caption'): ShardPool {
  const open = new Map<number, OpenShard>()

  function get(shard: number): OpenShard {
    const known = open.get(shard)
    if (known) {
      open.delete(shard)
      open.set(shard, known) // now the latest
      return known
    }
    const path = paths[shard]
    const opened = { file: openShardFile(path), samples: loadShardIndex(path, indexDir, partner).samples }
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
    read: (shard, [offset, size]) => get(shard).file.read(offset, size),
    close() {
      for (const { file } of open.values()) file.close()
      open.clear()
    },
  }
}
