import type { Config } from '../config/schema.ts'
import type { RandomStream } from '../core/rng.ts'
import { crop, type Image, normalize } from './image.ts'
import { drawCropBox, flip } from './random-crop.ts'
import { resizeBilinear } from './resize.ts'

export type Augmentation = { size: number } & Pick<Config['data'], 'augment' | 'cropScale'>

/**
 * From a decoded image to the [size, size, 3] numbers of a batch, written to `out` at `offset`. Every draw comes from
 * `random`, so the same stream gives the same picture.
 */
export function augmentInto(
  image: Image,
  options: Augmentation,
  random: RandomStream,
  out: Float32Array,
  offset: number,
): void {
  normalize(augmentPixels(image, options, random), out, offset)
}

/** The pixels before normalisation, as `gvx data show` draws them. */
export function augmentPixels(image: Image, options: Augmentation, random: RandomStream): Image {
  const { size } = options
  if (options.augment === 'none') return resizeBilinear(centerSquare(image), size, size)
  const box = drawCropBox(image, options.cropScale, random)
  const resized = resizeBilinear(crop(image, box), size, size)
  if (random.uniform() < 0.5) flip(resized)
  return resized
}

function centerSquare(image: Image): Image {
  const { width, height } = image
  const side = Math.min(width, height)
  if (width === height) return image
  return crop(image, { x: (width - side) >> 1, y: (height - side) >> 1, width: side, height: side })
}
