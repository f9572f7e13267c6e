import { type Image, NORMALIZED } from '../data/image.ts'
import { resizeHalfPixel } from '../data/resize.ts'
import type { Pixels } from './encode.ts'
import { resizedSize } from './protocol.ts'

/** Resizes an image as the protocol says and normalises it, into `memory` where that is large enough. */
export function prepareImage(image: Image, shortSide: number, memory?: ArrayBuffer): Pixels {
  const size = resizedSize(image.width, image.height, shortSide)
  const values = size.width * size.height * 3
  const bytes = values * Float32Array.BYTES_PER_ELEMENT
  const data = memory && memory.byteLength >= bytes ? new Float32Array(memory, 0, values) : new Float32Array(values)
  resizeHalfPixel(image, size, NORMALIZED, data)
  return { ...size, data }
}
