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
 * border repeated. Within 1 of OpenCV, whose 8-bit path rounds its weights.
 */
export function resizeHalfPixel(image: Image, width: number, height: number): Image {
  if (width === image.width && height === image.height) return image
  const columns = samplePoints(image.width, width)
  const rows = samplePoints(image.height, height)
  const stride = width * 3
  const out = new Uint8Array(stride * height)
  // a row of the image lies between several rows of the result: stretched once, used again
  let [upper, lower] = [new Float64Array(stride), new Float64Array(stride)]
  let [upperRow, lowerRow] = [-1, -1]
  for (let y = 0, at = 0; y < height; y++) {
    const [top, bottom, v] = [rows.low[y], rows.high[y], rows.part[y]]
    if (top === lowerRow) {
      ;[upper, lower] = [lower, upper]
      ;[upperRow, lowerRow] = [lowerRow, upperRow]
    }
    if (top !== upperRow) stretchRow(image, top, columns, upper)
    if (bottom !== lowerRow) stretchRow(image, bottom, columns, lower)
    ;[upperRow, lowerRow] = [top, bottom]
    for (let i = 0; i < stride; i++) out[at++] = upper[i] * (1 - v) + lower[i] * v + 0.5
  }
  return { data: out, width, height }
}

function stretchRow({ data, width }: Image, y: number, { low, high, part }: SamplePoints, out: Float64Array): void {
  for (let x = 0, at = 0; x < low.length; x++) {
    const left = (y * width + low[x]) * 3
    const right = (y * width + high[x]) * 3
    const u = part[x]
    for (let c = 0; c < 3; c++) out[at++] = data[left + c] * (1 - u) + data[right + c] * u
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
