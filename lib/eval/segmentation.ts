import type { ModelConfig } from '../config/schema.ts'
import type { Params } from '../tensor/index.ts'
import { affinityLogits, type ScoringOptions, segmentScores } from './affinity.ts'
import type { Classifier } from './classifier.ts'
import { batchSizeFor, type Encoded, encodeBatch, type Pixels, type PlainSegments } from './encode.ts'
import { groupOfPixels, type PixelScores } from './maps.ts'
import { averageScores, type JoinedWindows, joinWindows, slidingWindows, type Window } from './windows.ts'

/**
 * Zero-shot segmentation by the reference's path: product of the stages' maps, bilinear to the pixels, one group a pixel,
 * the group's class scores, averaged over the windows. Held against golden segmentations to the pixel.
 */

export type SegmentationOptions = ScoringOptions & {
  /** Side and stride of the sliding window, or null for the whole image at once. */
  window: { crop: number; stride: number } | null
  plain: PlainSegments
}

export type Segmenter = {
  params: Params
  model: ModelConfig
  classifier: Classifier
  /** min(exp(logit_scale), logitScale.max) */
  scale: number
  options: SegmentationOptions
}

export type Segmented = {
  pixels: PixelScores
  /** The windows and what the encoder said of each. */
  windows: Window[]
  encoded: Encoded[]
  /** The scores of each window before they are averaged. */
  parts: PixelScores[]
  joined: JoinedWindows
}

/** Segments normalised images of any sizes; windows of equal size share batches across the images. */
export async function segmentPixels(segmenter: Segmenter, images: readonly Pixels[]): Promise<Segmented[]> {
  const { params, model, options } = segmenter
  const jobs = images.flatMap((image, owner) =>
    windowsOf(image, options).map((window) => ({ owner, window, encoded: null as Encoded | null })),
  )
  const sizes = new Set(jobs.map(({ window }) => `${window.width}x${window.height}`))
  for (const wanted of sizes) {
    const group = jobs.filter(({ window }) => `${window.width}x${window.height}` === wanted)
    const { width, height } = group[0].window
    const size = batchSizeFor(model, width, height)
    for (let start = 0; start < group.length; start += size) {
      const batch = group.slice(start, start + size)
      const encoded = await encodeBatch(
        params,
        model,
        batch.map(({ owner, window }) => ({ image: images[owner], window })),
        options.plain,
      )
      batch.forEach((job, i) => {
        job.encoded = encoded[i]
      })
    }
  }
  return images.map((image, owner) => {
    const own = jobs.filter((job) => job.owner === owner)
    const windows = own.map((job) => job.window)
    const encoded = own.map((job) => job.encoded!)
    const parts = own.map((job) => scoreWindow(segmenter, job.encoded!, job.window.width, job.window.height))
    const joined = joinWindows(image.width, image.height, windows, parts)
    return { pixels: averageScores(joined, parts), windows, encoded, parts, joined }
  })
}

/** The scores of an image under other options, or with only the `named` classes, without encoding it again. */
export function scoreAgain(
  segmenter: Segmenter,
  { encoded, parts, joined }: Segmented,
  options: ScoringOptions,
  named: readonly number[] | null = null,
): PixelScores {
  const scored = parts.map((part, i) => {
    const { segments, image } = windowLogits(segmenter, encoded[i])
    return { ...part, ...segmentScores(segments, image, options, named) }
  })
  return averageScores(joined, scored)
}

export const windowsOf = (image: Pixels, { window }: SegmentationOptions): Window[] =>
  window === null
    ? [{ x: 0, y: 0, width: image.width, height: image.height }]
    : slidingWindows(image.width, image.height, window.crop, window.stride)

/** Class scores of the pixels of one window. */
function scoreWindow(segmenter: Segmenter, encoded: Encoded, width: number, height: number): PixelScores {
  const { segments, image } = windowLogits(segmenter, encoded)
  const row = pixelGroups(encoded, -1, width, height)
  return { width, height, row, ...segmentScores(segments, image, segmenter.options) }
}

/** Logits of the segments [S, C] and of the whole window [C]. */
function windowLogits({ classifier, scale }: Segmenter, encoded: Encoded) {
  const { data, dim } = classifier
  return {
    segments: affinityLogits(encoded.segments, data, dim, scale),
    image: affinityLogits(encoded.image, data, dim, scale),
  }
}

/** Group of each pixel after a stage (−1: the last). The segments of a plain ViT are its patches. */
export function pixelGroups(encoded: Encoded, stage: number, width: number, height: number): Int32Array {
  const { rows, columns } = encoded
  const map = encoded.maps.at(stage)
  return map ? groupOfPixels(map, rows, columns, height, width) : nearestPatch(rows, columns, height, width)
}

function nearestPatch(rows: number, columns: number, height: number, width: number): Int32Array {
  return Int32Array.from({ length: width * height }, (_, i) => {
    const row = Math.floor(((Math.floor(i / width) + 0.5) * rows) / height)
    return row * columns + Math.floor((((i % width) + 0.5) * columns) / width)
  })
}
