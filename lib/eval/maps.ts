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
 * The interpolated map itself is never stored: one row of all groups at a time.
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
  const line = new Float64Array(columns * groups) // [w, G], so that the groups of a pixel lie together
  const out = new Int32Array(height * width)
  for (let y = 0; y < height; y++) {
    const top = ys.low[y] * columns
    const bottom = ys.high[y] * columns
    const fy = ys.part[y]
    for (let g = 0; g < groups; g++)
      for (let x = 0; x < columns; x++)
        line[x * groups + g] = data[g * tokens + top + x] * (1 - fy) + data[g * tokens + bottom + x] * fy
    for (let x = 0; x < width; x++) {
      const left = xs.low[x] * groups
      const right = xs.high[x] * groups
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
export function labelPixels(pixels: PixelScores, height: number, width: number): Uint8Array {
  const { row, scores, classes } = pixels
  const best = bestOfRows(scores, classes)
  const ys = axis(pixels.height, height)
  const xs = axis(pixels.width, width)
  const out = new Uint8Array(height * width)
  if (height === pixels.height && width === pixels.width) {
    for (let i = 0; i < row.length; i++) out[i] = best[row[i]]
    return out
  }
  const sum = new Float64Array(classes)
  for (let y = 0; y < height; y++) {
    const top = ys.low[y] * pixels.width
    const bottom = ys.high[y] * pixels.width
    const fy = ys.part[y]
    for (let x = 0; x < width; x++) {
      const a = row[top + xs.low[x]]
      const b = row[top + xs.high[x]]
      const c = row[bottom + xs.low[x]]
      const d = row[bottom + xs.high[x]]
      if (a === b && b === c && c === d) {
        out[y * width + x] = best[a]
        continue
      }
      const fx = xs.part[x]
      for (let k = 0; k < classes; k++)
        sum[k] =
          (scores[a * classes + k] * (1 - fx) + scores[b * classes + k] * fx) * (1 - fy) +
          (scores[c * classes + k] * (1 - fx) + scores[d * classes + k] * fx) * fy
      out[y * width + x] = argmax(sum, 0, classes)
    }
  }
  return out
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
