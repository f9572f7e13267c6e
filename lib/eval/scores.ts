import { affinityLogits, type ScoringOptions, segmentScores } from './affinity.ts'
import type { Classifier } from './classifier.ts'
import type { Encoded } from './encode.ts'
import { groupOfPixels, type PixelScores } from './maps.ts'
import { newScratch, type Scratch } from './scratch.ts'
import { averageScores, type JoinedWindows, joinWindows, type Window } from './windows.ts'

/** From what the encoder says of the windows of an image to class scores of its pixels. Nothing here needs a backend. */

export type Scorer = {
  classifier: Classifier
  /** min(exp(logit_scale), logitScale.max) */
  scale: number
  options: ScoringOptions
}

/** An image after the encoder: its windows and what was said of each. */
export type EncodedImage = { width: number; height: number; windows: Window[]; encoded: Encoded[] }

export type Segmented = EncodedImage & {
  pixels: PixelScores
  /** The scores of each window before they are averaged. */
  parts: PixelScores[]
  joined: JoinedWindows
}

/** With a `scratch` that keeps, what is said of an image is valid until the next one. */
export function scoreImage(scorer: Scorer, image: EncodedImage, scratch: Scratch = newScratch): Segmented {
  const { width, height, windows, encoded } = image
  const parts = encoded.map((one, i) => {
    const window = windows[i]
    const room = scratch(`window ${i}`, window.width * window.height)
    return scoreWindow(scorer, one, window.width, window.height, room)
  })
  const joined = joinWindows(width, height, windows, parts, scratch('image', width * height))
  return { ...image, pixels: averageScores(joined, parts), parts, joined }
}

/** The scores of an image under other options, or with only the `named` classes, without encoding it again. */
export function scoreAgain(
  scorer: Scorer,
  { encoded, parts, joined }: Segmented,
  options: ScoringOptions,
  named: readonly number[] | null = null,
): PixelScores {
  const scored = parts.map((part, i) => {
    const { segments, image } = windowLogits(scorer, encoded[i])
    return { ...part, ...segmentScores(segments, image, options, named) }
  })
  return averageScores(joined, scored)
}

/** Class scores of the pixels of one window. */
function scoreWindow(scorer: Scorer, encoded: Encoded, width: number, height: number, room: Int32Array): PixelScores {
  const { segments, image } = windowLogits(scorer, encoded)
  const row = pixelGroups(encoded, -1, width, height, room)
  return { width, height, row, ...segmentScores(segments, image, scorer.options) }
}

/** Logits of the segments [S, C] and of the whole window [C]. */
function windowLogits({ classifier, scale }: Scorer, encoded: Encoded) {
  const { data, dim } = classifier
  return {
    segments: affinityLogits(encoded.segments, data, dim, scale),
    image: affinityLogits(encoded.image, data, dim, scale),
  }
}

/** Group of each pixel after a stage (−1: the last). The segments of a plain ViT are its patches. */
export function pixelGroups(
  encoded: Encoded,
  stage: number,
  width: number,
  height: number,
  out: Int32Array = new Int32Array(width * height),
): Int32Array {
  const { rows, columns } = encoded
  const map = encoded.maps.at(stage)
  return map ? groupOfPixels(map, rows, columns, height, width, out) : nearestPatch(rows, columns, height, width, out)
}

function nearestPatch(rows: number, columns: number, height: number, width: number, out: Int32Array): Int32Array {
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * rows) / height) * columns
    for (let x = 0; x < width; x++) out[y * width + x] = row + Math.floor(((x + 0.5) * columns) / width)
  }
  return out
}
