/**
 * Intersection over union as mmsegmentation counts it: pixels whose mask is `ignore` are left out, areas are summed over
 * the images before dividing, and a class that is neither in the masks nor in the predictions is left out of the mean.
 */

export const IGNORE = 255

/** Areas of one class in one image, in pixels: [class, intersect, pred, label]. Classes without any pixel are not listed. */
export type ClassCount = [cls: number, intersect: number, pred: number, label: number]

/** Areas summed over images, one entry a class, and the pixels that were counted. */
export type Areas = { intersect: Float64Array; pred: Float64Array; label: Float64Array; pixels: number }

/**
 * Areas of one image. `pred` and `mask` hold one class a pixel and are equally long. A mask value outside [0, classes)
 * that is not `ignore` stays in the picture: it counts as predicted area only, as in mmsegmentation.
 */
export function countImage(pred: Uint8Array, mask: Uint8Array, classes: number, ignore = IGNORE): ClassCount[] {
  if (pred.length !== mask.length)
    throw new Error(`countImage: ${pred.length} predicted pixels for a mask of ${mask.length}`)
  const intersect = new Uint32Array(256)
  const predicted = new Uint32Array(256)
  const label = new Uint32Array(256)
  // pixels that lie together mostly agree: a run of them is counted at once
  for (let start = 0; start < mask.length; ) {
    const [truth, guess] = [mask[start], pred[start]]
    let end = start + 1
    while (end < mask.length && mask[end] === truth && pred[end] === guess) end++
    if (truth !== ignore) {
      predicted[guess] += end - start
      label[truth] += end - start
      if (guess === truth) intersect[guess] += end - start
    }
    start = end
  }
  const counts: ClassCount[] = []
  for (let c = 0; c < classes; c++)
    if (predicted[c] + label[c] > 0) counts.push([c, intersect[c], predicted[c], label[c]])
  return counts
}

export const emptyAreas = (classes: number): Areas => ({
  intersect: new Float64Array(classes),
  pred: new Float64Array(classes),
  label: new Float64Array(classes),
  pixels: 0,
})

/** Adds the areas of one image to the sum. */
export function addCounts(areas: Areas, counts: readonly ClassCount[]): void {
  for (const [c, intersect, pred, label] of counts) {
    areas.intersect[c] += intersect
    areas.pred[c] += pred
    areas.label[c] += label
    areas.pixels += pred
  }
}

export function sumCounts(images: readonly (readonly ClassCount[])[], classes: number): Areas {
  const areas = emptyAreas(classes)
  for (const counts of images) addCounts(areas, counts)
  return areas
}

/** IoU of each class; NaN where the class is in neither. */
const iouOf = (areas: Areas): number[] =>
  Array.from(areas.intersect, (intersect, c) => intersect / (areas.pred[c] + areas.label[c] - intersect))

/** Mean of what is not NaN; NaN of nothing. */
export function nanMean(values: Iterable<number>): number {
  let sum = 0
  let n = 0
  for (const value of values) {
    if (Number.isNaN(value)) continue
    sum += value
    n++
  }
  return sum / n
}

const total = (values: Float64Array): number => values.reduce((a, b) => a + b, 0)

export type Scores = { mIoU: number; aAcc: number; mAcc: number; iou: number[]; acc: number[] }

/** mIoU, accuracy over pixels and mean accuracy over classes, as fractions and not rounded. */
export function scoresOf(areas: Areas): Scores {
  const iou = iouOf(areas)
  const acc = Array.from(areas.intersect, (intersect, c) => intersect / areas.label[c])
  return { mIoU: nanMean(iou), aAcc: total(areas.intersect) / total(areas.label), mAcc: nanMean(acc), iou, acc }
}

/**
 * What the numbers are worth: the mIoU of labels drawn uniformly at random, of the class with most pixels painted
 * everywhere, and of labels drawn uniformly from the classes that an ideal caption of each image names, which are those
 * in its mask (the caption oracle). Random labels have their expected areas.
 */
export function trivialBaselines(
  images: readonly (readonly ClassCount[])[],
  classes: number,
): { chance: number; majority: number; captionOracle: number } {
  const { label } = sumCounts(images, classes)
  const pixels = total(label)
  const chance = nanMean(Array.from(label, (area) => area / classes / (area + pixels / classes - area / classes)))
  const present = label.reduce((count, area) => count + (area > 0 ? 1 : 0), 0)
  const drawn = images.map((counts) => {
    const named = counts.filter(([, , , area]) => area > 0)
    const all = named.reduce((sum, [, , , area]) => sum + area, 0)
    return named.map(([c, , , area]): ClassCount => [c, area / named.length, all / named.length, area])
  })
  const captionOracle = scoresOf(sumCounts(drawn, classes)).mIoU
  return { chance, majority: Math.max(...label) / pixels / present, captionOracle }
}
