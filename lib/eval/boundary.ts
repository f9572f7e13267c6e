import { type ClassCount, IGNORE } from './confusion.ts'

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
 * 1 where a pixel lies within `d` pixels (Chebyshev) of a pixel with another label or of the outside, else 0. For each
 * label this is the mask minus its erosion by d rounds of a 3 × 3 square, for all labels in one pass.
 */
export function boundaryOf(labels: Uint8Array, width: number, height: number, d: number): Uint8Array {
  const inRow = new Uint8Array(labels.length) // all 2 d + 1 pixels of the row around this one have its label
  for (let y = 0; y < height; y++) {
    const row = y * width
    for (let start = 0; start < width; ) {
      let end = start + 1
      while (end < width && labels[row + end] === labels[row + start]) end++
      for (let x = start + d; x < end - d; x++) inRow[row + x] = 1
      start = end
    }
  }
  const boundary = new Uint8Array(labels.length).fill(1)
  for (let x = 0; x < width; x++) {
    for (let start = 0; start < height; ) {
      const first = start * width + x
      let end = start + 1
      if (!inRow[first]) {
        start = end
        continue
      }
      while (end < height && inRow[end * width + x] && labels[end * width + x] === labels[first]) end++
      for (let y = start + d; y < end - d; y++) boundary[y * width + x] = 0
      start = end
    }
  }
  return boundary
}

/** Areas of the boundary pixels of one image, to be summed like those of whole masks. */
export function countBoundary(
  pred: Uint8Array,
  mask: Uint8Array,
  width: number,
  height: number,
  classes: number,
  ignore = IGNORE,
): ClassCount[] {
  const guess = pred.slice()
  for (let i = 0; i < mask.length; i++) if (mask[i] === ignore) guess[i] = ignore
  const d = boundaryDistance(width, height)
  const ofMask = boundaryOf(mask, width, height, d)
  const ofGuess = boundaryOf(guess, width, height, d)
  const intersect = new Uint32Array(256)
  const predicted = new Uint32Array(256)
  const label = new Uint32Array(256)
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] === ignore) continue
    if (ofMask[i]) label[mask[i]]++
    if (ofGuess[i]) predicted[guess[i]]++
    if (ofMask[i] && ofGuess[i] && mask[i] === guess[i]) intersect[mask[i]]++
  }
  const counts: ClassCount[] = []
  for (let c = 0; c < classes; c++)
    if (predicted[c] + label[c] > 0) counts.push([c, intersect[c], predicted[c], label[c]])
  return counts
}
