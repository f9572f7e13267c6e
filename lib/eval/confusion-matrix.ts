import { IGNORE } from './confusion.ts'

/** Pixels of each class of the masks (rows) by the class that was predicted for them (columns). */
export type ConfusionMatrix = { classes: number; pixels: Float64Array }

export const emptyMatrix = (classes: number): ConfusionMatrix => ({
  classes,
  pixels: new Float64Array(classes * classes),
})

/** Adds the pixels of an image. What the mask ignores, and values that are no class, are left out. */
export function addImage(matrix: ConfusionMatrix, pred: Uint8Array, mask: Uint8Array, ignore = IGNORE): void {
  const { classes, pixels } = matrix
  for (let i = 0; i < mask.length; i++) {
    const truth = mask[i]
    if (truth === ignore || truth >= classes || pred[i] >= classes) continue
    pixels[truth * classes + pred[i]]++
  }
}

/** The matrix as rows, and each entry as a share of its row; a row of a class that is in no mask is all 0. */
export function rowsOfMatrix({ classes, pixels }: ConfusionMatrix): { counts: number[][]; shares: number[][] } {
  const counts = Array.from({ length: classes }, (_, row) => [...pixels.subarray(row * classes, (row + 1) * classes)])
  const shares = counts.map((row) => {
    const total = row.reduce((a, b) => a + b, 0)
    return row.map((value) => (total === 0 ? 0 : value / total))
  })
  return { counts, shares }
}
