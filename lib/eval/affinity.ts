/**
 * Class scores of the segments of one image, as the reference computes them: cosines times the logit scale, only the
 * classes the whole image speaks for, softmax, and background where nothing is sure enough.
 */

export type ScoringOptions = {
  /** Classes an image may hold; 0 for all. */
  topK: number
  /** Multiply the softmax over the kept classes by the softmax over all. */
  imagePrior: boolean
  /** With background: class 0 wins where the best class is below min(threshold, best of all segments). */
  background: boolean
  backgroundThreshold: number
}

/** [rows, C] <- [rows, P] @ [C, P], cosines of normalised rows times the logit scale. */
export function affinityLogits(rows: Float32Array, classifier: Float32Array, dim: number, scale: number): Float64Array {
  const count = rows.length / dim
  const classes = classifier.length / dim
  const logits = new Float64Array(count * classes)
  for (let r = 0; r < count; r++)
    for (let c = 0; c < classes; c++) {
      let sum = 0
      for (let p = 0; p < dim; p++) sum += rows[r * dim + p] * classifier[c * dim + p]
      logits[r * classes + c] = sum * scale
    }
  return logits
}

/** Softmax over those of `length` values from `from` on that are kept; the others become 0. */
function softmaxOf(logits: Float64Array, from: number, length: number, keep?: Uint8Array): Float64Array {
  const out = new Float64Array(length)
  let highest = Number.NEGATIVE_INFINITY
  for (let c = 0; c < length; c++) if (!keep || keep[c]) highest = Math.max(highest, logits[from + c])
  let sum = 0
  for (let c = 0; c < length; c++) {
    if (keep && !keep[c]) continue
    out[c] = Math.exp(logits[from + c] - highest)
    sum += out[c]
  }
  if (sum > 0) for (let c = 0; c < length; c++) out[c] /= sum
  return out
}

/** 1 for these classes. */
function only(named: readonly number[], classes: number): Uint8Array {
  const keep = new Uint8Array(classes)
  for (const c of named) keep[c] = 1
  return keep
}

/** 1 for the k highest of the values. */
function topOf(values: Float64Array, k: number): Uint8Array {
  const keep = new Uint8Array(values.length)
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a])
  for (const c of order.slice(0, k)) keep[c] = 1
  return keep
}

/**
 * [G, C] scores of the segments, or [G, 1 + C] with background first, from the [G, C] logits of the segments and the
 * [C] logits of the image. `named`: the classes the image may hold, where something else than the image tells.
 */
export function segmentScores(
  logits: Float64Array,
  image: Float64Array,
  options: ScoringOptions,
  named: readonly number[] | null = null,
): { scores: Float64Array; classes: number } {
  const classes = image.length
  const groups = logits.length / classes
  const keep = named ? only(named, classes) : topOf(image, options.topK === 0 ? classes : options.topK)
  const foreground = new Float64Array(groups * classes)
  for (let g = 0; g < groups; g++) {
    const kept = softmaxOf(logits, g * classes, classes, keep)
    if (options.imagePrior) {
      const all = softmaxOf(logits, g * classes, classes)
      for (let c = 0; c < classes; c++) kept[c] *= all[c]
    }
    foreground.set(kept, g * classes)
  }
  if (!options.background) return { scores: foreground, classes }
  const threshold = Math.min(
    options.backgroundThreshold,
    foreground.reduce((a, b) => Math.max(a, b), 0),
  )
  const scores = new Float64Array(groups * (classes + 1))
  for (let g = 0; g < groups; g++) {
    const row = foreground.subarray(g * classes, (g + 1) * classes)
    scores.set(row, g * (classes + 1) + 1)
    if (row.reduce((a, b) => Math.max(a, b), 0) < threshold) scores[g * (classes + 1)] = 1
  }
  return { scores, classes: classes + 1 }
}
