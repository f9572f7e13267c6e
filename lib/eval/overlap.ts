import { IGNORE } from './confusion.ts'

/**
 * How good the segments are, whatever they are called: the oracle of the paper's appendix (Table C.3), which gives each
 * segment the class it fits best, and the mean best overlap of the objects in the masks.
 */

type Contingency = {
  segments: number
  /** [segments, classes] pixels in both. */
  both: Float64Array
  segmentArea: Float64Array
  classArea: Float64Array
}

function contingency(segments: Int32Array, mask: Uint8Array, classes: number, ignore: number): Contingency {
  let count = 0
  for (let i = 0; i < segments.length; i++) if (segments[i] >= count) count = segments[i] + 1
  const both = new Float64Array(count * classes)
  const segmentArea = new Float64Array(count)
  const classArea = new Float64Array(classes)
  for (let i = 0; i < mask.length; i++) {
    const truth = mask[i]
    if (truth === ignore) continue
    segmentArea[segments[i]]++
    if (truth >= classes) continue
    classArea[truth]++
    both[segments[i] * classes + truth]++
  }
  return { segments: count, both, segmentArea, classArea }
}

export type Overlap = {
  /** Class a pixel gets when its segment is given the class with the highest IoU. */
  oracle: Uint8Array
  /** For each class in the mask its best IoU with a segment: [class, overlap]. */
  best: [cls: number, overlap: number][]
}

/** `segments` and `mask` hold one segment and one class a pixel. */
export function overlapOf(segments: Int32Array, mask: Uint8Array, classes: number, ignore = IGNORE): Overlap {
  const { segments: count, both, segmentArea, classArea } = contingency(segments, mask, classes, ignore)
  const classOf = new Uint8Array(count)
  const best = new Float64Array(classes)
  for (let s = 0; s < count; s++) {
    let highest = -1
    for (let c = 0; c < classes; c++) {
      if (classArea[c] === 0) continue
      const intersect = both[s * classes + c]
      const iou = intersect / (segmentArea[s] + classArea[c] - intersect)
      if (iou > best[c]) best[c] = iou
      if (iou > highest) {
        highest = iou
        classOf[s] = c
      }
    }
  }
  const oracle = new Uint8Array(segments.length)
  for (let i = 0; i < segments.length; i++) oracle[i] = classOf[segments[i]]
  return {
    oracle,
    best: Array.from(classArea).flatMap((area, c): [number, number][] => (area > 0 ? [[c, best[c]]] : [])),
  }
}
