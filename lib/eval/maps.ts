/**
 * From attention maps to one segment a pixel. A map is [groups, tokens] of one image, row-major; the tokens are the
 * patches in reading order.
 */

export type AttentionMap = { data: Float32Array; groups: number; tokens: number }

/** The groups of a stage seen on the patches: [G', N] <- [G', G] @ [G, N]. */
function followStages(later: AttentionMap, earlier: AttentionMap): AttentionMap {
  const { groups, tokens: inner } = later
  const { tokens } = earlier
  const data = new Float32Array(groups * tokens)
  const sum = new Float64Array(tokens)
  for (let g = 0; g < groups; g++) {
    sum.fill(0)
    for (let k = 0; k < inner; k++) {
      const weight = later.data[g * inner + k]
      if (weight === 0) continue
      const row = k * tokens
      for (let n = 0; n < tokens; n++) sum[n] += weight * earlier.data[row + n]
    }
    data.set(sum, g * tokens)
  }
  return { data, groups, tokens }
}

/** The map of each stage on the patches: the product of the maps up to it. */
export function mapsOnPatches(stages: readonly AttentionMap[]): AttentionMap[] {
  const maps: AttentionMap[] = []
  for (const stage of stages) {
    const before = maps.at(-1)
    maps.push(before ? followStages(stage, before) : stage)
  }
  return maps
}

/** Bilinear weights of one axis with half-pixel centres (align_corners=False), clamped at the border. */
function axis(from: number, to: number): { low: Int32Array; high: Int32Array; part: Float64Array } {
  const low = new Int32Array(to)
  const high = new Int32Array(to)
  const part = new Float64Array(to)
  for (let i = 0; i < to; i++) {
    const at = Math.max(0, ((i + 0.5) * from) / to - 0.5)
    low[i] = Math.min(Math.floor(at), from - 1)
    high[i] = Math.min(low[i] + 1, from - 1)
    part[i] = at - low[i]
  }
  return { low, high, part }
}

/** [G, h, w] -> [G, H, W], bilinear; only pictures and tests want all of it. */
export function upsample(
  map: AttentionMap,
  rows: number,
  columns: number,
  height: number,
  width: number,
): Float32Array {
  const ys = axis(rows, height)
  const xs = axis(columns, width)
  const out = new Float32Array(map.groups * height * width)
  let o = 0
  for (let g = 0; g < map.groups; g++) {
    const base = g * map.tokens
    for (let y = 0; y < height; y++) {
      const top = base + ys.low[y] * columns
      const bottom = base + ys.high[y] * columns
      const fy = ys.part[y]
      for (let x = 0; x < width; x++) {
        const fx = xs.part[x]
        const upper = map.data[top + xs.low[x]] * (1 - fx) + map.data[top + xs.high[x]] * fx
        const lower = map.data[bottom + xs.low[x]] * (1 - fx) + map.data[bottom + xs.high[x]] * fx
        out[o++] = upper * (1 - fy) + lower * fy
      }
    }
  }
  return out
}

/**
 * Group with the highest value at each pixel of [H, W] after bilinear interpolation of a [G, h·w] map; the first of equals.
 * The interpolated map itself is never stored: where one group is the highest at all four patches around a pixel it is
 * the highest at the pixel, and elsewhere one row of all groups is made at a time.
 */
export function groupOfPixels(
  map: AttentionMap,
  rows: number,
  columns: number,
  height: number,
  width: number,
): Int32Array {
  const { groups, tokens, data } = map
  if (rows * columns !== tokens) throw new Error(`groupOfPixels: ${tokens} tokens are not ${rows} x ${columns} patches`)
  const ys = axis(rows, height)
  const xs = axis(columns, width)
  const ofPatch = groupOfPatches(map)
  const line = new Float64Array(columns * groups) // [w, G], so that the groups of a pixel lie together
  const out = new Int32Array(height * width)
  for (let y = 0; y < height; y++) {
    const top = ys.low[y] * columns
    const bottom = ys.high[y] * columns
    const fy = ys.part[y]
    let hasLine = false
    for (let x = 0; x < width; x++) {
      const [low, high] = [xs.low[x], xs.high[x]]
      const corner = ofPatch[top + low]
      if (corner === ofPatch[top + high] && corner === ofPatch[bottom + low] && corner === ofPatch[bottom + high]) {
        out[y * width + x] = corner
        continue
      }
      if (!hasLine) {
        for (let g = 0; g < groups; g++)
          for (let c = 0; c < columns; c++)
            line[c * groups + g] = data[g * tokens + top + c] * (1 - fy) + data[g * tokens + bottom + c] * fy
        hasLine = true
      }
      const left = low * groups
      const right = high * groups
      const fx = xs.part[x]
      let best = 0
      let highest = Number.NEGATIVE_INFINITY
      for (let g = 0; g < groups; g++) {
        const value = line[left + g] * (1 - fx) + line[right + g] * fx
        if (value > highest) {
          highest = value
          best = g
        }
      }
      out[y * width + x] = best
    }
  }
  return out
}

/** The first of the groups with the highest value at each patch. */
function groupOfPatches({ data, groups, tokens }: AttentionMap): Int32Array {
  const best = new Int32Array(tokens)
  for (let g = 1; g < groups; g++)
    for (let n = 0; n < tokens; n++) if (data[g * tokens + n] > data[best[n] * tokens + n]) best[n] = g
  return best
}

/** Where each pixel takes its class scores from: pixel i has the scores of row `row[i]`. */
export type PixelScores = {
  width: number
  height: number
  row: Int32Array
  /** [rows, classes] */
  scores: Float64Array
  classes: number
}

/**
 * Bilinear resize of the [classes, H, W] scores to another size and argmax over the classes, without ever making them:
 * where the four neighbours share a row, and that is nearly everywhere, the answer is known before.
 */
export const labelPixels = (pixels: PixelScores, height: number, width: number): Uint8Array =>
  labelEach([pixels], height, width)[0]

/** The same for scores that share their rows. */
export function labelEach(scored: readonly PixelScores[], height: number, width: number): Uint8Array[] {
  const [{ row, classes, width: columns, height: lines }] = scored
  const best = scored.map(({ scores }) => bestOfRows(scores, classes))
  const out = scored.map(() => new Uint8Array(height * width))
  if (height === lines && width === columns) {
    for (const [k, labels] of out.entries()) for (let i = 0; i < row.length; i++) labels[i] = best[k][row[i]]
    return out
  }
  const ys = axis(lines, height)
  const xs = axis(columns, width)
  const neighbours = new Int32Array(width)
  for (let y = 0; y < height; y++) {
    const top = ys.low[y] * columns
    const bottom = ys.high[y] * columns
    // the row that all four neighbours share, or −1
    for (let x = 0; x < width; x++) {
      const a = row[top + xs.low[x]]
      const shared = a === row[top + xs.high[x]] && a === row[bottom + xs.low[x]] && a === row[bottom + xs.high[x]]
      neighbours[x] = shared ? a : -1
    }
    for (const [k, { scores }] of scored.entries()) {
      const labels = out[k]
      const bestOf = best[k]
      for (let x = 0; x < width; x++)
        labels[y * width + x] =
          neighbours[x] >= 0
            ? bestOf[neighbours[x]]
            : blendedBest(scores, classes, row, top, bottom, xs.low[x], xs.high[x], xs.part[x], ys.part[y])
    }
  }
  return out
}

function blendedBest(
  scores: Float64Array,
  classes: number,
  row: Int32Array,
  top: number,
  bottom: number,
  low: number,
  high: number,
  fx: number,
  fy: number,
): number {
  const [a, b] = [row[top + low] * classes, row[top + high] * classes]
  const [c, d] = [row[bottom + low] * classes, row[bottom + high] * classes]
  let best = 0
  let highest = Number.NEGATIVE_INFINITY
  for (let k = 0; k < classes; k++) {
    const value =
      (scores[a + k] * (1 - fx) + scores[b + k] * fx) * (1 - fy) + (scores[c + k] * (1 - fx) + scores[d + k] * fx) * fy
    if (value > highest) {
      highest = value
      best = k
    }
  }
  return best
}

/** The row of the nearest pixel in an image of another size: segments for the oracle and for pictures. */
export function nearestRows(pixels: PixelScores, height: number, width: number): Int32Array {
  const out = new Int32Array(height * width)
  for (let y = 0; y < height; y++) {
    const line = Math.floor(((y + 0.5) * pixels.height) / height) * pixels.width
    for (let x = 0; x < width; x++)
      out[y * width + x] = pixels.row[line + Math.floor(((x + 0.5) * pixels.width) / width)]
  }
  return out
}

function bestOfRows(scores: Float64Array, classes: number): Uint8Array {
  const best = new Uint8Array(scores.length / classes)
  for (let r = 0; r < best.length; r++) best[r] = argmax(scores, r * classes, classes)
  return best
}

function argmax(values: Float64Array, from: number, length: number): number {
  let best = 0
  for (let i = 1; i < length; i++) if (values[from + i] > values[from + best]) best = i
  return best
}
