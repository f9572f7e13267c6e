import type { Config } from '../config/schema.ts'
import type { EvalFinished, MetricValues, Protocol } from '../core/events.ts'
import type { SegmentationSet } from '../data/segmentation-set.ts'
import type { Params } from '../tensor/index.ts'
import type { PerImage } from './bootstrap.ts'
import { nanMean, scoresOf, sumCounts, trivialBaselines } from './confusion.ts'
import { inlineHelper, threadHelper } from './helper.ts'
import type { ImageResult, Journal } from './journal.ts'
import { protocolOf } from './protocol.ts'
import type { EncodedImage } from './scores.ts'
import { encodeImages } from './segmentation.ts'
import { openSegmenter } from './segmenter.ts'

/** What the worker turns into an event: everything but the step and the file of the counts. */
export type EvalResult = Omit<EvalFinished, 'type' | 'step' | 'counts'> & {
  /** Areas of each image, from which every number can be computed again. */
  perImage: PerImage
}

export type Evaluation = {
  params: Params
  config: Config
  set: SegmentationSet
  purpose: EvalFinished['purpose']
  /** Images, spread evenly over the list; 0 for all. */
  limit: number
  onProgress?: (done: number, total: number) => void
  /** Sees the labels of each image that is evaluated: to save or to draw them. */
  onLabels?: (id: string, labels: Uint8Array, width: number, height: number) => void | Promise<void>
  signal?: AbortSignal
  /** What else belongs to the protocol: where its threshold comes from. */
  protocol?: Protocol
  /** Whether a thread of its own prepares and judges the images; large images have one unless told. */
  thread?: boolean
  /** Keeps the images that are done; those that it knows are not evaluated again. */
  journal?: Pick<Journal, 'known' | 'seconds' | 'add'>
}

/** Pixels of an image and mask that are held at once: the memory does not grow with the data set. */
const CHUNK_PIXELS = 64 * 128 * 128

/** From this size and number of images on a thread is worth its start. */
const LARGE_SIDE = 224
const LARGE_SET = 8

/**
 * Zero-shot segmentation of a data set by the reference's protocol. Reading, resizing and judging overlap with the encoder.
 * @throws what `signal` is aborted with, and what reading an image throws
 */
export async function evaluateSegmentation(evaluation: Evaluation): Promise<EvalResult> {
  const { params, config, set, purpose, onProgress, signal, journal } = evaluation
  const started = performance.now()
  const indices = spread(set.ids.length, evaluation.limit)
  const results = new Map(journal?.known)
  const todo = indices.filter((index) => !results.has(set.ids[index]))
  const segmenter = await openSegmenter(params, config, set.classNames, set.background)
  const { classifier, scale, options } = segmenter
  const chunk = chunkSize(options.shortSide)
  const task = { scorer: { classifier, scale, options }, classes: set.classNames.length, shortSide: options.shortSide }
  const isLarge = options.shortSide >= LARGE_SIDE && todo.length >= LARGE_SET
  const helper = (evaluation.thread ?? isLarge) ? threadHelper(task) : inlineHelper(task)
  const fetch = (start: number) => {
    const samples = Promise.all(
      todo.slice(start, start + chunk).map(async (index) => {
        const { id, image, mask } = await set.read(index)
        return { id, mask, pixels: await helper.prepare(image) }
      }),
    )
    samples.catch(() => {}) // told when it is awaited; an abort in between must not leave it unheard
    return samples
  }

  let last = performance.now()
  async function finish(start: number, images: Awaited<ReturnType<typeof fetch>>, encoded: EncodedImage[]) {
    const judged = await Promise.all(encoded.map((image, i) => helper.judge(image, images[i].mask)))
    for (const [i, { labels, ...result }] of judged.entries()) {
      const { id, mask } = images[i]
      await evaluation.onLabels?.(id, labels, mask.width, mask.height)
      results.set(id, { id, ...result })
      const now = performance.now()
      journal?.add({ id, ...result }, (now - last) / 1000)
      last = now
    }
    onProgress?.(indices.length - todo.length + Math.min(start + chunk, todo.length), indices.length)
  }

  try {
    // two chunks ahead are read and prepared, and the one before is judged, while the encoder works
    const ahead = [fetch(0), fetch(chunk)]
    let judging = Promise.resolve()
    for (let start = 0; start < todo.length; start += chunk) {
      signal?.throwIfAborted()
      const images = await ahead.shift()!
      ahead.push(fetch(start + 2 * chunk))
      const encoded = await encodeImages(
        segmenter,
        images.map(({ pixels }) => pixels),
      )
      for (const { pixels } of images) helper.recycle(pixels)
      await judging
      judging = finish(start, images, encoded)
      judging.catch(() => {}) // told when it is awaited
    }
    await judging
  } finally {
    await helper.close()
  }
  return {
    dataset: 'voc',
    purpose,
    protocol: { ...protocolOf(set, indices.length, segmenter.options, config), ...evaluation.protocol },
    images: indices.length,
    seconds: (performance.now() - started) / 1000 + (journal?.seconds ?? 0),
    classNames: set.classNames,
    ...sumUp(
      indices.map((index) => results.get(set.ids[index])!),
      set,
    ),
  }
}

/** `limit` numbers of [0, total), evenly spread, so that a subset holds what the whole holds. */
export const spread = (total: number, limit: number): number[] =>
  limit === 0 || limit >= total
    ? Array.from({ length: total }, (_, i) => i)
    : Array.from({ length: limit }, (_, i) => Math.floor((i * total) / limit))

/** Images of a short side that are held at once. */
export const chunkSize = (shortSide: number): number =>
  Math.max(2, Math.min(64, Math.round(CHUNK_PIXELS / shortSide ** 2)))

/** The numbers of an evaluation from those of its images. */
function sumUp(images: readonly ImageResult[], { classNames, background, things }: SegmentationSet) {
  const classes = classNames.length
  const scores = (of: 'counts' | 'boundary' | 'oracle' | 'named') =>
    scoresOf(
      sumCounts(
        images.map((image) => image[of]),
        classes,
      ),
    )
  const { mIoU, aAcc, mAcc, iou } = scores('counts')
  const objects = images
    .flatMap(({ overlaps }) => overlaps)
    .filter(([c]) => !(background && c === 0))
    .map(([, overlap]) => overlap)
  const values: MetricValues = {
    mIoU,
    aAcc,
    mAcc,
    ...(things ? { mIoUThings: nanMean(things.map((c) => iou[c])) } : {}),
    boundaryIoU: scores('boundary').mIoU,
    oracleIoU: scores('oracle').mIoU,
    mIoUNamed: scores('named').mIoU,
    bestOverlap: nanMean(objects),
  }
  const perImage: PerImage = images.map(({ id, counts }) => ({ id, counts }))
  const baselines = trivialBaselines(
    images.map(({ counts }) => counts),
    classes,
  )
  return { values, iou, baselines, perImage }
}
