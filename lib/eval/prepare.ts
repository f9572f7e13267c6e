import { type Image, normalize } from '../data/image.ts'
import { resizeHalfPixel } from '../data/resize.ts'
import type { Pixels } from './encode.ts'
import { resizedSize } from './protocol.ts'

/** Resizes an image as the protocol says and normalises it. */
export function prepareImage(image: Image, shortSide: number): Pixels {
  const { width, height } = resizedSize(image.width, image.height, shortSide)
  return { width, height, data: normalize(resizeHalfPixel(image, width, height)) }
}
