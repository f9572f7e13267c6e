import type { Mask } from '../data/mask.ts'
import { countBoundary } from './boundary.ts'
import { countImage } from './confusion.ts'
import type { ImageResult } from './journal.ts'
import { labelEach, nearestRows } from './maps.ts'
import { overlapOf } from './overlap.ts'
import { type EncodedImage, type Scorer, scoreAgain, scoreImage } from './scores.ts'
import { keepScratch } from './scratch.ts'

export type Judged = Omit<ImageResult, 'id'> & { labels: Uint8Array }

const scratch = keepScratch()

/** What the scores of one image come to against its mask, and its labels at the mask's size. */
export function judgeImage(
  scorer: Scorer,
  classes: number,
  image: EncodedImage,
  { data, width, height }: Mask,
): Judged {
  const segmented = scoreImage(scorer, image, scratch)
  const { pixels } = segmented
  const segments = pixels.scores.length / pixels.classes
  const nearest = nearestRows(pixels, height, width, scratch('nearest', width * height))
  const overlap = overlapOf(nearest, segments, data, classes)
  const present = overlap.best.map(([c]) => c)
  const named = scorer.options.background ? present.filter((c) => c > 0).map((c) => c - 1) : present
  const again = scoreAgain(scorer, segmented, scorer.options, named)
  const [labels, ofNamed] = labelEach([pixels, again], height, width)
  return {
    labels,
    counts: countImage(labels, data, classes),
    boundary: countBoundary(labels, data, width, height, classes),
    oracle: overlap.oracle,
    named: countImage(ofNamed, data, classes),
    overlaps: overlap.best,
  }
}
