import type { Image } from './image.ts'

/**
 * The colour operations of PIL that RandAugment uses, equal to Pillow's on 8-bit RGB (test/peers compares them):
 * ImageOps (autocontrast, equalize, invert, posterize, solarize) and ImageEnhance (color, contrast, brightness, sharpness).
 */

/** Stretches each channel to 0…255. */
export function autoContrast(image: Image): Image {
  return mapChannels(image, (histogram) => {
    const low = histogram.findIndex((n) => n > 0)
    const high = histogram.findLastIndex((n) => n > 0)
    if (high <= low) return identity
    const scale = 255 / (high - low)
    return table((v) => Math.min(255, Math.max(0, Math.trunc(v * scale - low * scale))))
  })
}

/** Makes each channel's histogram flat. */
export function equalize(image: Image): Image {
  return mapChannels(image, (histogram) => {
    const used = histogram.filter((n) => n > 0)
    const step = Math.floor((used.reduce((a, b) => a + b, 0) - used[used.length - 1]) / 255)
    if (used.length <= 1 || step === 0) return identity
    let below = Math.floor(step / 2)
    return table((v) => {
      const level = Math.floor(below / step)
      below += histogram[v]
      return Math.min(255, level)
    })
  })
}

export const invert = (image: Image): Image => mapAll(image, (v) => 255 - v)

/** Keeps the `bits` highest bits of every value. */
export const posterize = (image: Image, bits: number): Image => mapAll(image, (v) => v & ~(2 ** (8 - bits) - 1))

/** Inverts the values at or above the threshold. */
export const solarize = (image: Image, threshold: number): Image => mapAll(image, (v) => (v < threshold ? v : 255 - v))

/** Adds to the values below 128. */
export const solarizeAdd = (image: Image, add: number): Image =>
  mapAll(image, (v) => (v < 128 ? Math.min(255, v + add) : v))

/** Away from (below 1) or beyond (above 1) the grey image. */
export const adjustColor = (image: Image, factor: number): Image => {
  const { data } = image
  return blend(image, factor, (i) => luma(data, i - (i % 3)))
}

/** Away from or beyond the image's mean grey. */
export function adjustContrast(image: Image, factor: number): Image {
  const { data } = image
  let sum = 0
  for (let i = 0; i < data.length; i += 3) sum += luma(data, i)
  const mean = Math.trunc(sum / (data.length / 3) + 0.5)
  return blend(image, factor, () => mean)
}

/** Away from or beyond black. */
export const adjustBrightness = (image: Image, factor: number): Image => blend(image, factor, () => 0)

/** Away from or beyond the smoothed image. */
export function adjustSharpness(image: Image, factor: number): Image {
  const smooth = smoothed(image)
  return blend(image, factor, (i) => smooth[i])
}

/** PIL's blend: `other + factor * (image - other)` in single precision, cut towards zero, clipped. */
function blend(image: Image, factor: number, other: (i: number) => number): Image {
  if (factor === 1) return image
  const alpha = Math.fround(factor)
  const data = new Uint8Array(image.data.length)
  for (let i = 0; i < data.length; i++) {
    const from = other(i)
    const mixed = Math.fround(from + Math.fround(alpha * (image.data[i] - from)))
    data[i] = Math.min(255, Math.max(0, mixed))
  }
  return { ...image, data }
}

/** Rec. 601 grey of the pixel at `i`, as PIL rounds it. */
const luma = (data: Uint8Array, i: number): number =>
  (data[i] * 19595 + data[i + 1] * 38470 + data[i + 2] * 7471 + 0x8000) >> 16

/** ImageFilter.SMOOTH: weights 1 1 1, 1 5 1, 1 1 1 over 13; the border stays as it is. */
function smoothed({ data, width, height }: Image): Uint8Array {
  const out = Uint8Array.from(data)
  const row = width * 3
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * row + 3; i < (y + 1) * row - 3; i++) {
      const above = data[i - row - 3] + data[i - row] + data[i - row + 3]
      const below = data[i + row - 3] + data[i + row] + data[i + row + 3]
      out[i] = Math.floor((above + data[i - 3] + 5 * data[i] + data[i + 3] + below) / 13 + 0.5)
    }
  }
  return out
}

const table = (of: (v: number) => number): Uint8Array => Uint8Array.from({ length: 256 }, (_, v) => of(v))
const identity = table((v) => v)

function mapAll(image: Image, of: (v: number) => number): Image {
  const values = table(of)
  return { ...image, data: image.data.map((v) => values[v]) }
}

function mapChannels(image: Image, tableOf: (histogram: number[]) => Uint8Array): Image {
  const data = new Uint8Array(image.data.length)
  for (let c = 0; c < 3; c++) {
    const histogram = new Array<number>(256).fill(0)
    for (let i = c; i < data.length; i += 3) histogram[image.data[i]]++
    const values = tableOf(histogram)
    for (let i = c; i < data.length; i += 3) data[i] = values[image.data[i]]
  }
  return { ...image, data }
}
