import type { Image } from './image.ts'

/** The two resizes of the reference: PIL's in training, mmcv's in evaluation. */

/** Weights of PIL's resampling are fixed-point numbers with this many bits (Pillow, src/libImaging/Resample.c). */
const PRECISION = 22
const HALF = 1 << (PRECISION - 1)

type Filter = { start: Int32Array; count: Int32Array; weights: Int32Array; width: number }

/** PIL's `resize(size, BILINEAR)`, equal to the last bit: a triangle that widens when shrinking, rows first. */
export function resizeBilinear(image: Image, width: number, height: number): Image {
  const rows = width === image.width ? image : resizeRows(image, width)
  return height === rows.height ? rows : resizeColumns(rows, height)
}

function resizeRows({ data, width: inWidth, height }: Image, width: number): Image {
  const { start, count, weights, width: taps } = filterOf(inWidth, width)
  const out = new Uint8Array(width * height * 3)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      let from = (y * inWidth + start[x]) * 3
      let r = HALF
      let g = HALF
      let b = HALF
      for (let k = x * taps, end = k + count[x]; k < end; k++, from += 3) {
        const weight = weights[k]
        r += data[from] * weight
        g += data[from + 1] * weight
        b += data[from + 2] * weight
      }
      out[at] = r >> PRECISION
      out[at + 1] = g >> PRECISION
      out[at + 2] = b >> PRECISION
    }
  }
  return { data: out, width, height }
}

function resizeColumns({ data, width, height: inHeight }: Image, height: number): Image {
  const { start, count, weights, width: taps } = filterOf(inHeight, height)
  const stride = width * 3
  const out = new Uint8Array(stride * height)
  const sums = new Int32Array(stride)
  for (let y = 0; y < height; y++) {
    sums.fill(HALF)
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * taps + k]
      const from = (start[y] + k) * stride
      for (let i = 0; i < stride; i++) sums[i] += data[from + i] * weight
    }
    for (let i = 0; i < stride; i++) out[y * stride + i] = sums[i] >> PRECISION
  }
  return { data: out, width, height }
}

const filters = new Map<number, Filter>()

/** The weights of every output pixel over `size` input pixels; cached, as random crops repeat their sizes. */
function filterOf(size: number, outSize: number): Filter {
  const key = size * 65536 + outSize
  let filter = filters.get(key)
  if (!filter) {
    if (filters.size > 2000) filters.clear()
    filter = createFilter(size, outSize)
    filters.set(key, filter)
  }
  return filter
}

function createFilter(size: number, outSize: number): Filter {
  const scale = size / outSize
  const support = Math.max(scale, 1)
  const width = Math.ceil(support) * 2 + 1
  const filter = {
    start: new Int32Array(outSize),
    count: new Int32Array(outSize),
    weights: new Int32Array(outSize * width),
    width,
  }
  const triangle = new Float64Array(width)
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * scale
    const start = Math.max(0, Math.trunc(center - support + 0.5))
    const count = Math.min(size, Math.trunc(center + support + 0.5)) - start
    let sum = 0
    for (let k = 0; k < count; k++) {
      triangle[k] = Math.max(0, 1 - Math.abs((k + start - center + 0.5) * (1 / support)))
      sum += triangle[k]
    }
    for (let k = 0; k < count; k++) {
      filter.weights[i * width + k] = Math.trunc(0.5 + (triangle[k] / sum) * (1 << PRECISION))
    }
    filter.start[i] = start
    filter.count[i] = count
  }
  return filter
}

/**
 * mmcv's `imresize` (OpenCV's bilinear): samples at half-pixel centres without a wider filter when shrinking, the
 * border repeated. Within 1 of OpenCV, whose 8-bit path rounds its weights. Each value, 0 to 255, is looked up in the table
 * of its channel on its way to `out`, [height, width, 3].
 */
export function resizeHalfPixel(
  image: Image,
  { width, height }: { width: number; height: number },
  [red, green, blue]: readonly Float32Array[],
  out: Float32Array,
): void {
  const columns = samplePoints(image.width, width)
  const { low, high, part } = samplePoints(image.height, height)
  const stride = width * 3
  // a row of the image lies between several rows of the result: stretched once, even ones first and odd ones behind them
  const rows = new Float64Array(2 * stride)
  const held = [-1, -1]
  const hold = (y: number): number => {
    const at = (y % 2) * stride
    if (held[y % 2] !== y) stretchRow(image.data, y * image.width * 3, columns, rows, at)
    held[y % 2] = y
    return at
  }
  for (let y = 0; y < height; y++) {
    const between = { rows, stride, upper: hold(low[y]), lower: hold(high[y]), v: part[y] }
    lookUpRow(between, red, green, blue, out, y * stride)
  }
}

/** A row of the result lies `v` below the first of two stretched rows, which begin at `upper` and `lower`. */
type Between = { rows: Float64Array; stride: number; upper: number; lower: number; v: number }

// The loops over pixels are functions of what they touch: in closures they take twice the time.

function stretchRow(
  data: Uint8Array,
  row: number,
  { low, high, part }: SamplePoints,
  out: Float64Array,
  from: number,
): void {
  for (let x = 0, at = from; x < low.length; x++, at += 3) {
    const left = row + low[x] * 3
    const right = row + high[x] * 3
    const u = part[x]
    const v = 1 - u
    out[at] = data[left] * v + data[right] * u
    out[at + 1] = data[left + 1] * v + data[right + 1] * u
    out[at + 2] = data[left + 2] * v + data[right + 2] * u
  }
}

function lookUpRow(
  { rows, stride, upper, lower, v }: Between,
  red: Float32Array,
  green: Float32Array,
  blue: Float32Array,
  out: Float32Array,
  from: number,
): void {
  const u = 1 - v
  for (let i = 0; i < stride; i += 3) {
    out[from + i] = red[(rows[upper + i] * u + rows[lower + i] * v + 0.5) | 0]
    out[from + i + 1] = green[(rows[upper + i + 1] * u + rows[lower + i + 1] * v + 0.5) | 0]
    out[from + i + 2] = blue[(rows[upper + i + 2] * u + rows[lower + i + 2] * v + 0.5) | 0]
  }
}

type SamplePoints = ReturnType<typeof samplePoints>

function samplePoints(size: number, outSize: number) {
  const low = new Int32Array(outSize)
  const high = new Int32Array(outSize)
  const part = new Float64Array(outSize)
  for (let i = 0; i < outSize; i++) {
    const at = Math.min(size - 1, Math.max(0, ((i + 0.5) * size) / outSize - 0.5))
    low[i] = Math.floor(at)
    high[i] = Math.min(size - 1, low[i] + 1)
    part[i] = at - low[i]
  }
  return { low, high, part }
}
