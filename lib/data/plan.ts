import { createHash } from 'node:crypto'
import path from 'node:path'
import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import type { Fault } from './fault.ts'
import type { OrderInput } from './order.ts'
import { ensureScenes, type OnProgress } from './scenes/write.ts'
import { loadShardIndex } from './shard-index.ts'
import { expandShards, type ShardSource } from './shard-paths.ts'

/** Everything that makes batches: plain data, so that it can be handed to a thread. */
export type StreamPlan = {
  seed: number
  batchSize: number
  imageSize: number
  contextLength: number
  nouns: number
  data: Config['data']
  shards: { path: string; weight: number; count: number; bytes: number }[]
  /** Folder of the cached shard indices. */
  indexDir: string
}

/** What decides the order of a plan's samples. */
export const orderOf = (plan: StreamPlan): OrderInput => ({
  seed: plan.seed,
  batchSize: plan.batchSize,
  counts: plan.shards.map((shard) => shard.count),
  weights: plan.shards.map((shard) => shard.weight),
  bytes: plan.shards.map((shard) => shard.bytes),
  shuffleBuffer: plan.data.shuffleBuffer,
})

export type PlannedStream = { plan: StreamPlan; faults: Fault[]; fingerprint: string }

/**
 * Finds the shards of a configuration and what they hold; the built-in scenes are made on first use.
 *
 * @throws UserError where nothing matches or no shard has a usable sample.
 */
export async function planStream(config: Config, home: string, onProgress?: OnProgress): Promise<PlannedStream> {
  const indexDir = path.join(home, 'data', 'index')
  const faults: Fault[] = []
  const hash = createHash('sha256')
  const shards: StreamPlan['shards'] = []
  for (const source of await sourcesOf(config.data, home, onProgress)) {
    for (const file of expandShards(source.shards)) {
      const index = loadShardIndex(file, indexDir)
      faults.push(...index.faults)
      hash.update(`${path.basename(file)} ${index.digest} ${source.weight}\n`)
      const bytes = index.compressed ? index.bytes : 0
      shards.push({ path: file, weight: source.weight, count: index.samples.length, bytes })
    }
  }
  if (shards.every((shard) => shard.count === 0)) {
    const why = faults[0] ? ` (${printable(path.basename(faults[0].shard))}: ${printable(faults[0].message)})` : ''
    throw new UserError(`The ${plural(shards.length, 'shard')} of data.train hold no image with a caption${why}.`, {
      hint: 'gvx data check SHARDS lists what is wrong with each.',
    })
  }
  const plan: StreamPlan = {
    seed: config.seed,
    batchSize: config.train.batchSize,
    imageSize: config.model.imageSize,
    contextLength: config.model.text.contextLength,
    nouns: config.multiLabel.nouns,
    data: config.data,
    shards,
    indexDir,
  }
  return { plan, faults, fingerprint: hash.digest('hex').slice(0, 16) }
}

async function sourcesOf(data: Config['data'], home: string, onProgress?: OnProgress): Promise<ShardSource[]> {
  const listed = Array.isArray(data.train) ? data.train : [data.train]
  const sources: ShardSource[] = []
  for (const entry of listed) {
    const source = typeof entry === 'string' ? { shards: entry, weight: 1 } : entry
    const isBuiltIn = source.shards === 'builtin:scenes'
    sources.push(isBuiltIn ? { ...source, shards: await ensureScenes(data.scenes, home, onProgress) } : source)
  }
  return sources
}
