import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import type { SegmentationSet } from '../data/segmentation-set.ts'
import type { Params } from '../tensor/index.ts'
import { addCounts, countImage, emptyAreas, scoresOf } from './confusion.ts'
import { chunkSize, spread } from './evaluate.ts'
import { labelPixels } from './maps.ts'
import { prepareImage } from './prepare.ts'
import { scoreAgain } from './scores.ts'
import { segmentPixels } from './segmentation.ts'
import { openSegmenter } from './segmenter.ts'

/** Softmax times softmax is small while a model is unsure, so the low end is finer. */
const THRESHOLDS = [
  0.005,
  0.01,
  0.02,
  0.03,
  ...Array.from({ length: 19 }, (_, i) => Math.round(5 * (i + 1)) / 100),
  0.97,
  0.99,
]

export type ThresholdSweep = { best: number; curve: { threshold: number; mIoU: number }[]; images: number }

/**
 * mIoU for every background threshold in one pass of the encoder, and the threshold with the highest: the first of
 * equals. To be run on a split that is not the one reported.
 * @throws UserError for a data set without background
 */
export async function sweepThreshold(options: {
  params: Params
  config: Config
  set: SegmentationSet
  limit: number
  onProgress?: (done: number, total: number) => void
  signal?: AbortSignal
}): Promise<ThresholdSweep> {
  const { params, config, set, limit, onProgress, signal } = options
  if (!set.background)
    throw new UserError(`${set.name} has no background, so there is no threshold to choose.`, {
      hint: 'builtin:scenes#voc has things over background',
    })
  const segmenter = await openSegmenter(params, config, set.classNames, true)
  const classes = set.classNames.length
  const areas = THRESHOLDS.map(() => emptyAreas(classes))
  const indices = spread(set.ids.length, limit)
  const chunk = chunkSize(segmenter.options.shortSide)
  for (let start = 0; start < indices.length; start += chunk) {
    signal?.throwIfAborted()
    const samples = await Promise.all(indices.slice(start, start + chunk).map((index) => set.read(index)))
    const images = samples.map(({ image }) => prepareImage(image, segmenter.options.shortSide))
    const segmented = await segmentPixels(segmenter, images)
    for (const [i, { mask }] of samples.entries()) {
      for (const [t, backgroundThreshold] of THRESHOLDS.entries()) {
        const pixels = scoreAgain(segmenter, segmented[i], { ...segmenter.options, backgroundThreshold })
        addCounts(areas[t], countImage(labelPixels(pixels, mask.height, mask.width), mask.data, classes))
      }
    }
    onProgress?.(Math.min(start + chunk, indices.length), indices.length)
  }
  const curve = THRESHOLDS.map((threshold, t) => ({ threshold, mIoU: scoresOf(areas[t]).mIoU }))
  const best = curve.reduce((a, b) => (b.mIoU > a.mIoU ? b : a)).threshold
  return { best, curve, images: indices.length }
}
