import { UserError } from '../core/errors.ts'
import { type RandomStream, randomStream } from '../core/rng.ts'
import { augmentationOf, augmentInto } from './augment.ts'
import { drawCaption, readCaptions } from './captions.ts'
import { type Fault, SampleError } from './fault.ts'
import { decodeImage, type Image } from './image.ts'
import { nounPrompts, nounsOf } from './nouns.ts'
import { createOrder, type SampleRef } from './order.ts'
import { orderOf, type StreamPlan } from './plan.ts'
import { createShardPool } from './shard-pool.ts'
import { TEMPLATES } from './templates.ts'
import { loadTokenizer } from './tokenizer.ts'

/** B samples: images [B, S, S, 3] (ImageNet-normalised), token ids [B, 1 + K, T] (the caption, then K prompts). */
export type Batch = { images: Float32Array; tokens: Int32Array; keys: string[] }
export type MadeBatch = { batch: Batch; faults: Fault[] }

/** Images decoded at the same time. */
const IN_FLIGHT = 4
/** Draws after which a row gives up on finding a usable sample. */
const MAX_DRAWS = 100

/**
 * Makes the batch of any step: a pure function of (plan, step). A bad sample gives its place to another of its block,
 * drawn from the same key, and its fault comes with the batch. `cacheBytes` of decoded pixels are kept.
 */
export function createBatchMaker(plan: StreamPlan, cacheBytes: number) {
  const { seed, batchSize, imageSize, contextLength, nouns, data, shards } = plan
  const order = createOrder(orderOf(plan))
  const pool = createShardPool(
    shards.map((shard) => shard.path),
    plan.indexDir,
    { tags: nouns > 0 ? data.nounTags : null },
  )
  const tokenizer = loadTokenizer()
  const decoded = createPixelCache(cacheBytes)
  const bad = new Map<string, Fault>()
  const augmentation = augmentationOf(data, imageSize)
  const imageLength = imageSize * imageSize * 3
  const textLength = (1 + nouns) * contextLength

  async function make(step: number): Promise<MadeBatch> {
    const batch: Batch = {
      images: new Float32Array(batchSize * imageLength),
      tokens: new Int32Array(batchSize * textLength),
      keys: new Array(batchSize),
    }
    const faults: Fault[] = []
    let nextRow = 0
    const work = async () => {
      while (nextRow < batchSize) await fillRow(batch, step, nextRow++, faults)
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, work))
    return { batch, faults }
  }

  async function fillRow(batch: Batch, step: number, row: number, faults: Fault[]): Promise<void> {
    const { epoch, position } = order.locate(step, row)
    const { block, index } = order.blockAt(epoch, position)
    const substitute = randomStream(seed, 'substitute', step, row)
    for (let draw = 0, at = index; draw < MAX_DRAWS; draw++, at = substitute.int(block.refs.length)) {
      const ref = block.refs[at]
      // The control pairs an image with the caption of its neighbour in the permuted block.
      const captionRef = data.shuffleCaptions ? block.refs[(at + 1) % block.refs.length] : ref
      const texts = attempt(captionRef, faults, () => captionsAt(captionRef))
      if (!texts) continue
      const image = await attemptLater(ref, faults, () => imageAt(ref))
      if (!image) continue
      batch.keys[row] = pool.entry(ref.shard, ref.sample).key
      augmentInto(image, augmentation, randomStream(seed, 'augment', step, row), batch.images, row * imageLength)
      writeTexts(captionRef, texts, randomStream(seed, 'text', step, row), batch.tokens, row * textLength)
      return
    }
    throw new UserError(`${MAX_DRAWS} samples in a row could not be used at step ${step}.`, {
      hint: 'gvx data check SHARDS lists what is wrong with each.',
    })
  }

  function writeTexts(
    { shard, sample }: SampleRef,
    captions: string[],
    random: RandomStream,
    out: Int32Array,
    offset: number,
  ): void {
    const caption = drawCaption(captions, random)
    const known = nouns === 0 ? [] : (pool.nouns(shard, sample, caption) ?? nounsOf(caption, data.nounTags))
    const prompts = nounPrompts(caption, known, nouns, TEMPLATES[data.templates], random)
    for (const [k, text] of [caption, ...prompts].entries())
      out.set(tokenizer.pad(text, contextLength), offset + k * contextLength)
  }

  function captionsAt({ shard, sample }: SampleRef): string[] {
    const { text, json } = pool.entry(shard, sample)
    return readCaptions(text && pool.read(shard, text), json && pool.read(shard, json))
  }

  async function imageAt({ shard, sample }: SampleRef): Promise<Image> {
    const known = decoded.get(shard, sample)
    if (known) return known
    const image = await decodeImage(pool.read(shard, pool.entry(shard, sample).image))
    decoded.keep(shard, sample, image)
    return image
  }

  function attempt<T>(ref: SampleRef, faults: Fault[], read: () => T): T | null {
    if (isKnownBad(ref, faults)) return null
    try {
      return read()
    } catch (error) {
      return note(error, ref, faults)
    }
  }

  async function attemptLater<T>(ref: SampleRef, faults: Fault[], read: () => Promise<T>): Promise<T | null> {
    if (isKnownBad(ref, faults)) return null
    try {
      return await read()
    } catch (error) {
      return note(error, ref, faults)
    }
  }

  function isKnownBad(ref: SampleRef, faults: Fault[]): boolean {
    const known = bad.get(nameOf(ref))
    if (known) faults.push(known)
    return known !== undefined
  }

  function note(error: unknown, ref: SampleRef, faults: Fault[]): null {
    if (!(error instanceof SampleError)) throw error
    const { key } = pool.entry(ref.shard, ref.sample)
    const fault = { kind: error.kind, shard: shards[ref.shard].path, key, message: error.message }
    bad.set(nameOf(ref), fault)
    faults.push(fault)
    return null
  }

  return { make, samplesPerEpoch: order.samplesPerEpoch, close: () => pool.close() }
}

const nameOf = ({ shard, sample }: SampleRef): string => `${shard}/${sample}`

/** Decoded pixels of a data set that fits; once full it keeps what it has. */
function createPixelCache(limit: number) {
  const images = new Map<string, Image>()
  let bytes = 0
  return {
    get: (shard: number, sample: number): Image | undefined => images.get(`${shard}/${sample}`),
    keep(shard: number, sample: number, image: Image): void {
      const name = `${shard}/${sample}`
      if (bytes + image.data.length > limit || images.has(name)) return
      bytes += image.data.length
      images.set(name, image)
    },
  }
}
