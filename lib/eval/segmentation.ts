import type { ModelConfig } from '../config/schema.ts'
import type { Params } from '../tensor/index.ts'
import type { ScoringOptions } from './affinity.ts'
import { batchSizeFor, type Encoded, encodeBatch, type Pixels, type PlainSegments } from './encode.ts'
import { type EncodedImage, type Scorer, type Segmented, scoreImage } from './scores.ts'
import { slidingWindows, type Window } from './windows.ts'

/**
 * Zero-shot segmentation by the reference's path: product of the stages' maps, bilinear to the pixels, one group a pixel,
 * the group's class scores, averaged over the windows. Held against golden segmentations to the pixel.
 */

export type SegmentationOptions = ScoringOptions & {
  /** Side and stride of the sliding window, or null for the whole image at once. */
  window: { crop: number; stride: number } | null
  plain: PlainSegments
}

export type Segmenter = Scorer & { params: Params; model: ModelConfig; options: SegmentationOptions }

/** Segments normalised images of any sizes. */
export async function segmentPixels(segmenter: Segmenter, images: readonly Pixels[]): Promise<Segmented[]> {
  return (await encodeImages(segmenter, images)).map((image) => scoreImage(segmenter, image))
}

/** Encodes the windows of images of any sizes; windows of equal size share batches across the images. */
export async function encodeImages(
  { params, model, options }: Segmenter,
  images: readonly Pixels[],
): Promise<EncodedImage[]> {
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
      // kernels hold the thread: files that were read and answers of other threads come in here
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return images.map(({ width, height }, owner) => {
    const own = jobs.filter((job) => job.owner === owner)
    return { width, height, windows: own.map(({ window }) => window), encoded: own.map(({ encoded }) => encoded!) }
  })
}

export const windowsOf = (image: Pixels, { window }: SegmentationOptions): Window[] =>
  window === null
    ? [{ x: 0, y: 0, width: image.width, height: image.height }]
    : slidingWindows(image.width, image.height, window.crop, window.stride)
