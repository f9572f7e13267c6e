import type { Config } from '../config/schema.ts'
import type { RandomStream } from '../core/rng.ts'
import { crop, type Image, normalize } from './image.ts'
import { randAugment } from './rand-augment.ts'
import { drawCropBox, flip } from './random-crop.ts'
import { randomErase } from './random-erase.ts'
import { resizeBilinear } from './resize.ts'

/** What is done to an image of `size` pixels a side, in this order; normalisation always ends it. */
export type Augmentation = {
  size: number
  cropScale: readonly [number, number]
  crop: boolean
  flip: boolean
  randAugment: boolean
  erasing: boolean
}

/** The switches of `data.augmentations` over what `data.augment` chooses. */
export function augmentationOf(data: Config['data'], size: number): Augmentation {
  const { crop, flip, randAugment, erasing } = data.augmentations
  const basic = data.augment !== 'none'
  const reference = data.augment === 'reference'
  const choose = (own: boolean | 'auto', preset: boolean) => (own === 'auto' ? preset : own)
  return {
    size,
    cropScale: data.cropScale,
    crop: choose(crop, basic),
    flip: choose(flip, basic),
    randAugment: choose(randAugment, reference),
    erasing: choose(erasing, reference),
  }
}

/**
 * From a decoded image to the [size, size, 3] numbers of a batch, written to `out` at `offset`. Every draw comes from
 * `random`, so the same stream gives the same numbers.
 */
export function augmentInto(
  image: Image,
  options: Augmentation,
  random: RandomStream,
  out: Float32Array,
  offset: number,
): void {
  normalize(augmentPixels(image, options, random), out, offset)
  if (options.erasing) randomErase(out, offset, options.size, random)
}

/** The pixels before normalisation and erasing. */
function augmentPixels(image: Image, options: Augmentation, random: RandomStream): Image {
  const { size } = options
  const box = options.crop ? drawCropBox(image, options.cropScale, random) : centerSquare(image)
  const resized = resizeBilinear(crop(image, box), size, size)
  if (options.flip && random.uniform() < 0.5) flip(resized)
  return options.randAugment ? randAugment(resized, random) : resized
}

function centerSquare({ width, height }: Image) {
  const side = Math.min(width, height)
  return { x: (width - side) >> 1, y: (height - side) >> 1, width: side, height: side }
}
