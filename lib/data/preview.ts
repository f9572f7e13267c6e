import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { randomStream } from '../core/rng.ts'
import { augmentationOf, augmentInto } from './augment.ts'
import { drawCaption, readCaptions } from './captions.ts'
import { SampleError } from './fault.ts'
import { decodeImage, denormalize, type Image } from './image.ts'
import { nounPrompts, nounsOf } from './nouns.ts'
import { createOrder } from './order.ts'
import { orderOf, planStream } from './plan.ts'
import type { OnProgress } from './scenes/write.ts'
import { createShardPool } from './shard-pool.ts'
import { TEMPLATES } from './templates.ts'

/** One sample as training would see it. `key` and texts are untrusted: print them by `printable`. */
export type Preview = {
  key: string
  before: Image
  after: Image
  caption: string
  nouns: string[]
  prompts: string[]
}

/** The first `count` samples of a configuration's stream, before and after augmentation; bad ones are left out. */
export async function previewSamples(
  config: Config,
  home: string,
  count: number,
  onProgress?: OnProgress,
): Promise<Preview[]> {
  const { plan } = await planStream(config, home, onProgress)
  const order = createOrder({ ...orderOf(plan), batchSize: 1 })
  const pool = createShardPool(
    plan.shards.map((shard) => shard.path),
    plan.indexDir,
  )
  const size = plan.imageSize
  const augmentation = augmentationOf(plan.data, size)
  const found: Preview[] = []
  for (let row = 0; row < order.samplesPerEpoch && found.length < count; row++) {
    const { block, index } = order.blockAt(0, row)
    const { shard, sample } = block.refs[index]
    const { key, text, json, image } = pool.entry(shard, sample)
    try {
      const words = randomStream(plan.seed, 'text', 0, row)
      const caption = drawCaption(readCaptions(text && pool.read(shard, text), json && pool.read(shard, json)), words)
      const before = await decodeImage(pool.read(shard, image))
      const values = new Float32Array(size * size * 3)
      augmentInto(before, augmentation, randomStream(plan.seed, 'augment', 0, row), values, 0)
      const { nounTags, templates } = plan.data
      const nouns = nounsOf(caption, nounTags)
      found.push({
        key,
        before,
        after: denormalize(values, 0, size),
        caption,
        nouns,
        prompts: nounPrompts(caption, nouns, plan.nouns, TEMPLATES[templates], words),
      })
    } catch (error) {
      if (!(error instanceof SampleError)) throw error
    }
  }
  pool.close()
  if (found.length === 0)
    throw new UserError('No sample of data.train can be used.', { hint: 'gvx data check says why.' })
  return found
}
