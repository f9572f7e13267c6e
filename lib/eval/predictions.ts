import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { messageOf, UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import { decodeMask } from '../data/mask.ts'
import type { SegmentationSet } from '../data/segmentation-set.ts'
import type { PerImage } from './bootstrap.ts'
import { countBoundary } from './boundary.ts'
import { addCounts, countImage, emptyAreas, type Scores, scoresOf, sumCounts } from './confusion.ts'

export type PredictionScores = Scores & {
  images: number
  boundaryIoU: number
  /** Boundary IoU of each class; NaN where it is in neither. */
  boundary: number[]
  perImage: PerImage
}

/**
 * Scores masks that anything has predicted: `dir` holds one palette or grey PNG for each image of the set, named like
 * its mask. `partial` leaves out images without a prediction.
 * @throws UserError where predictions are missing, damaged or of another size than their mask
 */
export async function scorePredictions(
  dir: string,
  set: SegmentationSet,
  { partial = false, onProgress }: { partial?: boolean; onProgress?: (done: number, total: number) => void } = {},
): Promise<PredictionScores> {
  if (!existsSync(dir)) throw new UserError(`The folder of predictions ${printable(dir)} is not there.`)
  const fileOf = (id: string) => path.join(dir, `${id}.png`)
  const there = set.ids.flatMap((id, index) => (existsSync(fileOf(id)) ? [index] : []))
  const missing = set.ids.length - there.length
  if (there.length === 0 || (missing > 0 && !partial)) {
    const first = set.ids.find((id) => !existsSync(fileOf(id)))!
    throw new UserError(
      `${missing} of ${plural(set.ids.length, 'prediction')} are missing in ${printable(dir)}, the first is ${printable(first)}.png.`,
      {
        hint: there.length > 0 ? '--partial scores those that are there' : 'the files are named like the masks: ID.png',
      },
    )
  }
  const classes = set.classNames.length
  const boundaries = emptyAreas(classes)
  const perImage: PerImage = []
  for (const [done, index] of there.entries()) {
    const { id, mask } = await set.read(index)
    const pred = await readPrediction(fileOf(id))
    if (pred.width !== mask.width || pred.height !== mask.height)
      throw new UserError(
        `The prediction of ${printable(id)} is ${pred.width}×${pred.height}, its mask ${mask.width}×${mask.height}.`,
      )
    perImage.push({ id, counts: countImage(pred.data, mask.data, classes) })
    addCounts(boundaries, countBoundary(pred.data, mask.data, mask.width, mask.height, classes))
    onProgress?.(done + 1, there.length)
  }
  const scores = scoresOf(
    sumCounts(
      perImage.map(({ counts }) => counts),
      classes,
    ),
  )
  const boundary = scoresOf(boundaries)
  return { ...scores, images: there.length, boundaryIoU: boundary.mIoU, boundary: boundary.iou, perImage }
}

async function readPrediction(file: string) {
  try {
    return decodeMask(await readFile(file))
  } catch (error) {
    throw new UserError(`${printable(file)} ${printable(messageOf(error))}.`)
  }
}
