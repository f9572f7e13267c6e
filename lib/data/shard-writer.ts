import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import path from 'node:path'
import { finished } from 'node:stream/promises'
import { type Pack, pack } from 'tar-stream'

/** A sample on its way into a shard: the members of one key, by extension (`png`, `txt`). */
export type PackedSample = { key: string; members: Record<string, Uint8Array | string> }

/**
 * Writes webdataset shards `<prefix>-000000.tar`, … of `samplesPerShard` samples. The bytes depend on the samples alone
 * (no times, no owners).
 */
export function createShardWriter(dir: string, prefix: string, samplesPerShard: number) {
  let archive: Pack | null = null
  let file: WriteStream | null = null
  let inShard = 0
  const paths: string[] = []

  async function closeShard(): Promise<void> {
    if (!archive || !file) return
    archive.finalize()
    await finished(file)
    archive = null
    file = null
  }

  function openShard(): Pack {
    const name = path.join(dir, `${prefix}-${String(paths.length).padStart(6, '0')}.tar`)
    paths.push(name)
    file = createWriteStream(name)
    archive = pack()
    archive.pipe(file)
    inShard = 0
    return archive
  }

  return {
    async add({ key, members }: PackedSample): Promise<void> {
      if (inShard === samplesPerShard) await closeShard()
      const target = archive ?? openShard()
      for (const [extension, content] of Object.entries(members)) {
        const data = typeof content === 'string' ? Buffer.from(content) : Buffer.from(content)
        target.entry({ name: `${key}.${extension}`, mtime: new Date(0), mode: 0o644 }, data)
      }
      inShard++
      if (file?.writableNeedDrain) await once(file, 'drain')
    },
    /** Writes what is left and returns the shards' paths. */
    async close(): Promise<string[]> {
      await closeShard()
      return paths
    },
  }
}
