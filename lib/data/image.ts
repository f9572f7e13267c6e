import sharp from 'sharp'
import { messageOf } from '../core/errors.ts'
import { SampleError } from './fault.ts'
import { decodeRgbPng } from './png.ts'

/** RGB, [height, width, 3]. */
export type Image = { data: Uint8Array; width: number; height: number }

/** An image of more pixels is refused before it is decoded. */
const MAX_PIXELS = 64_000_000

/** Mean and standard deviation of ImageNet, as every model of the reference sees its images. */
export const IMAGE_MEAN = [0.485, 0.456, 0.406] as const
export const IMAGE_STD = [0.229, 0.224, 0.225] as const

// One image a thread; the parallelism is over images.
sharp.concurrency(1)
sharp.cache(false)

/**
 * Decodes JPEG, PNG or WebP to RGB as PIL does: EXIF orientation and colour profiles are ignored, alpha is dropped.
 *
 * @throws SampleError `corrupt-image` or `image-bomb`
 */
export async function decodeImage(bytes: Uint8Array): Promise<Image> {
  if (!isKnownFormat(bytes)) throw new SampleError('corrupt-image', 'is neither JPEG, PNG nor WebP')
  const small = decodeRgbPng(bytes)
  if (small) return small
  try {
    const { data, info } = await sharp(bytes, { failOn: 'error', limitInputPixels: MAX_PIXELS, ignoreIcc: true })
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    return { data, width: info.width, height: info.height }
  } catch (error) {
    const message = messageOf(error).split('\n')[0]
    throw new SampleError(/pixel limit/i.test(message) ? 'image-bomb' : 'corrupt-image', message)
  }
}

/** An allow-list: sharp reads SVG and others too, which have no place in a shard. */
function isKnownFormat(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(12, bytes.length)).toString('latin1')
  const isWebp = head.startsWith('RIFF') && head.slice(8) === 'WEBP'
  return head.startsWith('\xff\xd8\xff') || head.startsWith('\x89PNG\r\n\x1a\n') || isWebp
}

/** A box of an image, in whole pixels. */
export type Box = { x: number; y: number; width: number; height: number }

export function crop(image: Image, box: Box): Image {
  const data = new Uint8Array(box.width * box.height * 3)
  for (let y = 0; y < box.height; y++) {
    const from = ((box.y + y) * image.width + box.x) * 3
    data.set(image.data.subarray(from, from + box.width * 3), y * box.width * 3)
  }
  return { data, width: box.width, height: box.height }
}

/**
 * The pixels as the model takes them: (v / 255 − mean) / std by channel, [height, width, 3], written to `out` at
 * `offset` where given.
 */
export function normalize(image: Image, out?: Float32Array, offset = 0): Float32Array {
  const target = out ?? new Float32Array(image.data.length)
  const { data } = image
  const [red, green, blue] = NORMALIZED
  for (let i = 0, at = offset; i < data.length; i += 3, at += 3) {
    target[at] = red[data[i]]
    target[at + 1] = green[data[i + 1]]
    target[at + 2] = blue[data[i + 2]]
  }
  return target
}

/** What `normalize` makes of each value, by channel. */
export const NORMALIZED = IMAGE_MEAN.map((mean, c) =>
  Float32Array.from({ length: 256 }, (_, v) => (v / 255 - mean) / IMAGE_STD[c]),
)

/** What `normalize` made back to pixels, [size, size, 3] from `offset`; what lies outside of 0…255 is clipped. */
export function denormalize(values: Float32Array, offset: number, size: number): Image {
  const data = new Uint8Array(size * size * 3)
  for (let i = 0; i < data.length; i++) {
    const c = i % 3
    const v = (values[offset + i] * IMAGE_STD[c] + IMAGE_MEAN[c]) * 255
    data[i] = Math.min(255, Math.max(0, Math.round(v)))
  }
  return { data, width: size, height: size }
}
