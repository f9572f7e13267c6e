import { type ClassCount, countImage, IGNORE } from './confusion.ts'

/**
 * Boundary IoU (Cheng et al., CVPR 2021): IoU of only those pixels of a mask that lie within d pixels of its contour,
 * d = 2 % of the image's diagonal. The image's border counts as contour. Pixels to ignore are taken out of the mask and
 * of the prediction before the contours are drawn, so that a perfect prediction scores 1.
 */

/** Distance in pixels, at least 1; halves are rounded to the even number as in numpy. */
export function boundaryDistance(width: number, height: number, ratio = 0.02): number {
  const d = ratio * Math.sqrt(width * width + height * height)
  const floor = Math.floor(d)
  const rounded = d - floor === 0.5 ? floor + (floor % 2) : Math.round(d)
  return Math.max(1, rounded)
}

/**
 * The labels of the pixels that lie within `d` pixels (Chebyshev) of a pixel with another label or of the outside, IGNORE
 * elsewhere. For each label this is the mask minus its erosion by d rounds of a 3 × 3 square, for all labels in one pass.
 */
export function contourOf(labels: Uint8Array, width: number, height: number, d: number): Uint8Array {
  const contour = labels.slice()
  // rows up to this one whose 2 d + 1 pixels around a column have the label of its pixel
  const deep = new Int32Array(width)
  for (let y = 0, row = 0; y < height; y++, row += width) {
    for (let start = 0; start < width; ) {
      const label = labels[row + start]
      let end = start + 1
      while (end < width && labels[row + end] === label) end++
      const first = Math.min(start + d, end)
      const last = Math.max(first, end - d)
      for (let x = start; x < first; x++) deep[x] = 0
      for (let x = first; x < last; x++) {
        const rows = deep[x] > 0 && labels[row - width + x] === label ? deep[x] + 1 : 1
        deep[x] = rows
        if (rows > 2 * d) contour[row - d * width + x] = IGNORE
      }
      for (let x = last; x < end; x++) deep[x] = 0
      start = end
    }
  }
  return contour
}

/** Of a pixel that is off the contours of the mask, that of the prediction still counts, and the other way round. */
const NOTHING = -1

/** Areas of the boundary pixels of one image, to be summed like those of whole masks. */
export function countBoundary(
  pred: Uint8Array,
  mask: Uint8Array,
  width: number,
  height: number,
  classes: number,
): ClassCount[] {
  const guess = pred.slice()
  for (let i = 0; i < mask.length; i++) if (mask[i] === IGNORE) guess[i] = IGNORE
  const d = boundaryDistance(width, height)
  return countImage(contourOf(guess, width, height, d), contourOf(mask, width, height, d), classes, NOTHING)
}
