import type { Config } from '../config/schema.ts'
import type { EvalFinished, MetricValues, Protocol } from '../core/events.ts'
import type { SegmentationSet } from '../data/segmentation-set.ts'
import type { Params } from '../tensor/index.ts'
import type { PerImage } from './bootstrap.ts'
import { countBoundary } from './boundary.ts'
import { addCounts, countImage, emptyAreas, nanMean, scoresOf, trivialBaselines } from './confusion.ts'
import { labelPixels, nearestRows } from './maps.ts'
import { overlapOf } from './overlap.ts'
import { protocolOf } from './protocol.ts'
import { type Segmented, segmentPixels } from './segmentation.ts'
import { openSegmenter, prepareImage } from './segmenter.ts'

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
  /** Sees the labels of each image: to save or to draw them. */
  onLabels?: (id: string, labels: Uint8Array, width: number, height: number) => void | Promise<void>
  signal?: AbortSignal
  /** What else belongs to the protocol: where its threshold comes from. */
  protocol?: Protocol
}

/** Pixels of an image and mask that are held at once: the memory does not grow with the data set. */
const CHUNK_PIXELS = 64 * 128 * 128

/**
 * Zero-shot segmentation of a data set by the reference's protocol. Reading the next images overlaps with the encoder.
 * @throws what `signal` is aborted with, and what reading an image throws
 */
export async function evaluateSegmentation(evaluation: Evaluation): Promise<EvalResult> {
  const { params, config, set, purpose, onProgress, signal } = evaluation
  const started = performance.now()
  const segmenter = await openSegmenter(params, config, set.classNames, set.background)
  const indices = spread(set.ids.length, evaluation.limit)
  const classes = set.classNames.length
  const tally = openTally(classes)
  const shortSide = segmenter.options.shortSide
  const chunk = chunkSize(shortSide)
  const read = (start: number) => Promise.all(indices.slice(start, start + chunk).map((index) => set.read(index)))

  let next = read(0)
  for (let start = 0; start < indices.length; start += chunk) {
    signal?.throwIfAborted()
    const samples = await next
    next = read(start + chunk)
    next.catch(() => {}) // told when it is awaited; an abort in between must not leave it unheard
    const segmented = await segmentPixels(
      segmenter,
      samples.map(({ image }) => prepareImage(image, shortSide)),
    )
    for (const [i, { id, mask }] of samples.entries()) {
      const labels = tally.add(id, segmented[i], mask)
      await evaluation.onLabels?.(id, labels, mask.width, mask.height)
    }
    onProgress?.(Math.min(start + chunk, indices.length), indices.length)
  }
  return {
    dataset: 'voc',
    purpose,
    protocol: { ...protocolOf(set, indices.length, segmenter.options, config), ...evaluation.protocol },
    images: indices.length,
    seconds: (performance.now() - started) / 1000,
    classNames: set.classNames,
    ...tally.result(set),
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

type Mask = { data: Uint8Array; width: number; height: number }

/** Sums what the images say and turns it into the numbers of an evaluation. */
function openTally(classes: number) {
  const perImage: PerImage = []
  const masks = emptyAreas(classes)
  const boundaries = emptyAreas(classes)
  const oracle = emptyAreas(classes)
  const overlaps: [cls: number, overlap: number][] = []
  return {
    /** Counts one image and returns its labels at the mask's size. */
    add(id: string, { pixels }: Segmented, { data, width, height }: Mask): Uint8Array {
      const labels = labelPixels(pixels, height, width)
      const counts = countImage(labels, data, classes)
      perImage.push({ id, counts })
      addCounts(masks, counts)
      addCounts(boundaries, countBoundary(labels, data, width, height, classes))
      const overlap = overlapOf(nearestRows(pixels, height, width), data, classes)
      addCounts(oracle, countImage(overlap.oracle, data, classes))
      overlaps.push(...overlap.best)
      return labels
    },
    result({ background, things }: SegmentationSet) {
      const { mIoU, aAcc, mAcc, iou } = scoresOf(masks)
      const objects = overlaps.filter(([c]) => !(background && c === 0)).map(([, overlap]) => overlap)
      const values: MetricValues = {
        mIoU,
        aAcc,
        mAcc,
        ...(things ? { mIoUThings: nanMean(things.map((c) => iou[c])) } : {}),
        boundaryIoU: scoresOf(boundaries).mIoU,
        oracleIoU: scoresOf(oracle).mIoU,
        bestOverlap: nanMean(objects),
      }
      return { values, iou, baselines: trivialBaselines(masks.label), perImage }
    },
  }
}
