import { type ClassCount, IGNORE } from './confusion.ts'

/**
 * How good the segments are, whatever they are called: the oracle of the paper's appendix (Table C.3), which gives each
 * segment the class it fits best, and the mean best overlap of the objects in the masks.
 */

type Contingency = {
  /** [segments, classes] pixels in both. */
  both: Float64Array
  segmentArea: Float64Array
  classArea: Float64Array
}

function contingency(
  segments: Int32Array,
  count: number,
  mask: Uint8Array,
  classes: number,
  ignore: number,
): Contingency {
  const both = new Float64Array(count * classes)
  const segmentArea = new Float64Array(count)
  const classArea = new Float64Array(classes)
  for (let start = 0; start < mask.length; ) {
    const [segment, truth] = [segments[start], mask[start]]
    let end = start + 1
    while (end < mask.length && segments[end] === segment && mask[end] === truth) end++
    if (truth !== ignore) {
      segmentArea[segment] += end - start
      if (truth < classes) {
        classArea[truth] += end - start
        both[segment * classes + truth] += end - start
      }
    }
    start = end
  }
  return { both, segmentArea, classArea }
}

export type Overlap = {
  /** Areas where each segment has the class with the highest IoU. */
  oracle: ClassCount[]
  /** For each class in the mask its best IoU with a segment: [class, overlap]. */
  best: [cls: number, overlap: number][]
}

/** `segments` and `mask` hold one segment, below `count`, and one class a pixel. */
export function overlapOf(
  segments: Int32Array,
  count: number,
  mask: Uint8Array,
  classes: number,
  ignore = IGNORE,
): Overlap {
  const { both, segmentArea, classArea } = contingency(segments, count, mask, classes, ignore)
  const best = new Float64Array(classes)
  const intersect = new Float64Array(classes)
  const predicted = new Float64Array(classes)
  for (let s = 0; s < count; s++) {
    let highest = -1
    let chosen = 0
    for (let c = 0; c < classes; c++) {
      if (classArea[c] === 0) continue
      const shared = both[s * classes + c]
      const iou = shared / (segmentArea[s] + classArea[c] - shared)
      if (iou > best[c]) best[c] = iou
      if (iou > highest) {
        highest = iou
        chosen = c
      }
    }
    intersect[chosen] += both[s * classes + chosen]
    predicted[chosen] += segmentArea[s]
  }
  const present = Array.from(classArea.keys())
  return {
    oracle: present
      .filter((c) => predicted[c] + classArea[c] > 0)
      .map((c) => [c, intersect[c], predicted[c], classArea[c]]),
    best: present.filter((c) => classArea[c] > 0).map((c) => [c, best[c]]),
  }
}
