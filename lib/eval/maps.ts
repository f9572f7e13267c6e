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

/** Bilinear numbers are off by a few of their last bits: differences above this share of them are real. */
const MARGIN = 1e-12

const isSurelyAbove = (a: number, b: number): boolean => a - b > MARGIN * (Math.abs(a) + Math.abs(b))

/** For each low patch of an axis the first pixel that lies behind it; one more entry for the end. */
function firstPixels(low: Int32Array, patches: number): Int32Array {
  const first = new Int32Array(patches + 1).fill(low.length)
  for (let i = low.length - 1; i >= 0; i--) first[low[i]] = i
  for (let p = patches - 1; p >= 0; p--) first[p] = Math.min(first[p], first[p + 1])
  return first
}

/**
 * Group with the highest value at each pixel of [H, W] after bilinear interpolation of a [G, h·w] map; the first of equals.
 * The interpolated map itself is never stored. All pixels between the same four patches are looked at together: a group
 * that is the highest at all four patches has them all, and one that another beats at all four has none.
 * `out`, of that size, takes the groups.
 */
export function groupOfPixels(
  map: AttentionMap,
  rows: number,
  columns: number,
  height: number,
  width: number,
  out: Int32Array = new Int32Array(height * width),
): Int32Array {
  if (rows * columns !== map.tokens)
    throw new Error(`groupOfPixels: ${map.tokens} tokens are not ${rows} x ${columns} patches`)
  const ys = axis(rows, height)
  const xs = axis(columns, width)
  const [firstY, firstX] = [firstPixels(ys.low, rows), firstPixels(xs.low, columns)]
  const best = groupOfPatches(map)
  const candidates = new Int32Array(map.groups)
  const ends = new Float64Array(2 * map.groups)
  for (let r = 0; r < rows; r++) {
    const [fromY, toY] = [firstY[r], firstY[r + 1]]
    if (fromY === toY) continue
    const [top, bottom] = [r * columns, ys.high[fromY] * columns]
    for (let c = 0; c < columns; c++) {
      const [fromX, toX] = [firstX[c], firstX[c + 1]]
      if (fromX === toX) continue
      const right = xs.high[fromX]
      const corners: Corners = [top + c, top + right, bottom + c, bottom + right]
      const count = candidatesOf(map, best, corners, candidates)
      for (let y = fromY; y < toY; y++) {
        const line = y * width
        if (count === 1) for (let x = fromX; x < toX; x++) out[line + x] = candidates[0]
        else {
          endsOf(map, corners, candidates, count, ys.part[y], ends)
          highestBetween(candidates, count, ends, xs.part, fromX, toX, out, line)
        }
      }
    }
  }
  return out
}

/** Patches around a pixel: upper left, upper right, lower left, lower right. */
type Corners = [number, number, number, number]

/** Writes the groups that may be the highest somewhere between four patches, in order; returns how many. */
function candidatesOf(
  { data, groups, tokens }: AttentionMap,
  best: Int32Array,
  [a, b, c, d]: Corners,
  out: Int32Array,
): number {
  const winners = [best[a], best[b], best[c], best[d]]
  if (winners[0] === winners[1] && winners[0] === winners[2] && winners[0] === winners[3]) {
    out[0] = winners[0]
    return 1
  }
  let count = 0
  for (let g = 0; g < groups; g++) {
    const own = g * tokens
    let isBeaten = false
    for (let w = 0; w < 4 && !isBeaten; w++) {
      if (winners[w] === g) continue
      const other = winners[w] * tokens
      isBeaten =
        isSurelyAbove(data[other + a], data[own + a]) &&
        isSurelyAbove(data[other + b], data[own + b]) &&
        isSurelyAbove(data[other + c], data[own + c]) &&
        isSurelyAbove(data[other + d], data[own + d])
    }
    if (!isBeaten) out[count++] = g
  }
  return count
}

/** Values of the candidates on the left and the right end of a line between four patches, `fy` below the upper ones. */
function endsOf(
  { data, tokens }: AttentionMap,
  [a, b, c, d]: Corners,
  candidates: Int32Array,
  count: number,
  fy: number,
  out: Float64Array,
): void {
  for (let k = 0; k < count; k++) {
    const own = candidates[k] * tokens
    out[2 * k] = data[own + a] * (1 - fy) + data[own + c] * fy
    out[2 * k + 1] = data[own + b] * (1 - fy) + data[own + d] * fy
  }
}

/** The candidate with the highest value at the pixels `from` to `to` of a line; the first of equals. */
function highestBetween(
  candidates: Int32Array,
  count: number,
  ends: Float64Array,
  parts: Float64Array,
  from: number,
  to: number,
  out: Int32Array,
  line: number,
): void {
  for (let x = from; x < to; x++) {
    const fx = parts[x]
    const rest = 1 - fx
    let best = 0
    let highest = ends[0] * rest + ends[1] * fx
    for (let k = 1; k < count; k++) {
      const value = ends[2 * k] * rest + ends[2 * k + 1] * fx
      if (value > highest) {
        highest = value
        best = k
      }
    }
    out[line + x] = candidates[best]
  }
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
  const [{ row, width: columns, height: lines }] = scored
  const painters = scored.map((pixels) => painterOf(pixels, new Uint8Array(height * width)))
  if (height === lines && width === columns) {
    for (const { labels, best } of painters) for (let i = 0; i < row.length; i++) labels[i] = best[row[i]]
    return painters.map(({ labels }) => labels)
  }
  const ys = axis(lines, height)
  const xs = axis(columns, width)
  const firstX = firstPixels(xs.low, columns)
  for (let y = 0; y < height; y++) {
    const top = ys.low[y] * columns
    const bottom = ys.high[y] * columns
    // runs of the same row above and the same row below: pixels in a run lie between two rows, those behind it between four
    for (let start = 0; start < columns; ) {
      const [upper, lower] = [row[top + start], row[bottom + start]]
      let end = start + 1
      while (end < columns && row[top + end] === upper && row[bottom + end] === lower) end++
      const behind = end === columns ? width : firstX[end - 1]
      for (const painter of painters) {
        if (upper === lower || isSettled(painter, upper, lower, upper, lower))
          painter.labels.fill(painter.best[upper], y * width + firstX[start], y * width + behind)
        else paintBlend(painter, top, bottom, xs, firstX[start], behind, ys.part[y], y * width)
        if (end < columns) paintBlend(painter, top, bottom, xs, behind, firstX[end], ys.part[y], y * width)
      }
      start = end
    }
  }
  return painters.map(({ labels }) => labels)
}

type Painter = PixelScores & {
  labels: Uint8Array
  /** The best class of each row. */
  best: Uint8Array
  /** 1 where it is surely above all others. */
  sure: Uint8Array
}

function painterOf(pixels: PixelScores, labels: Uint8Array): Painter {
  const { scores, classes } = pixels
  const best = new Uint8Array(scores.length / classes)
  const sure = new Uint8Array(best.length).fill(1)
  for (let r = 0; r < best.length; r++) {
    best[r] = argmax(scores, r * classes, classes)
    const highest = scores[r * classes + best[r]]
    for (let c = 0; c < classes; c++) if (c !== best[r] && !isSurelyAbove(highest, scores[r * classes + c])) sure[r] = 0
  }
  return { ...pixels, labels, best, sure }
}

/** Whether all of four rows surely have the same best class: then so has whatever lies between them. */
const isSettled = ({ best, sure }: Painter, a: number, b: number, c: number, d: number): boolean =>
  best[a] === best[b] && best[a] === best[c] && best[a] === best[d] && (sure[a] & sure[b] & sure[c] & sure[d]) === 1

/** Labels of the pixels `from` to `to` of a line that have not one row around them. */
function paintBlend(
  painter: Painter,
  top: number,
  bottom: number,
  xs: ReturnType<typeof axis>,
  from: number,
  to: number,
  fy: number,
  line: number,
): void {
  const { row, scores, classes, labels, best } = painter
  for (let x = from; x < to; x++) {
    const [low, high] = [xs.low[x], xs.high[x]]
    labels[line + x] = isSettled(painter, row[top + low], row[top + high], row[bottom + low], row[bottom + high])
      ? best[row[top + low]]
      : blendedBest(scores, classes, row, top, bottom, low, high, xs.part[x], fy)
  }
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

/** The row of the nearest pixel in an image of another size: segments for the oracle. */
export function nearestRows(
  pixels: PixelScores,
  height: number,
  width: number,
  out: Int32Array = new Int32Array(height * width),
): Int32Array {
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * pixels.width) / width))
  for (let y = 0; y < height; y++) {
    const line = Math.floor(((y + 0.5) * pixels.height) / height) * pixels.width
    for (let x = 0; x < width; x++) out[y * width + x] = pixels.row[line + columns[x]]
  }
  return out
}

function argmax(values: Float64Array, from: number, length: number): number {
  let best = 0
  for (let i = 1; i < length; i++) if (values[from + i] > values[from + best]) best = i
  return best
}
