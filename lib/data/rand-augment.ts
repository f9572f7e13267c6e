import type { RandomStream } from '../core/rng.ts'
import { rotate, shearX, shearY, translateX, translateY } from './affine.ts'
import type { Image } from './image.ts'
import {
  adjustBrightness,
  adjustColor,
  adjustContrast,
  adjustSharpness,
  autoContrast,
  equalize,
  invert,
  posterize,
  solarize,
  solarizeAdd,
} from './pixel-ops.ts'

/** timm's `rand-m9-mstd0.5-inc1`: two of fifteen operations with replacement, each applied every second time. */
const OPERATIONS_A_IMAGE = 2
const PROBABILITY = 0.5
const MAGNITUDE = 9
const MAGNITUDE_STD = 0.5
const MAX_MAGNITUDE = 10

/** An operation at a strength of 0…1; `signed` gives a value either sign. */
type Operation = (image: Image, strength: number, signed: (value: number) => number) => Image

export const OPERATIONS: Record<string, Operation> = {
  AutoContrast: autoContrast,
  Equalize: equalize,
  Invert: invert,
  Rotate: (image, strength, signed) => rotate(image, signed(30 * strength)),
  PosterizeIncreasing: (image, strength) => posterize(image, 4 - Math.trunc(4 * strength)),
  SolarizeIncreasing: (image, strength) => solarize(image, 256 - Math.trunc(256 * strength)),
  SolarizeAdd: (image, strength) => solarizeAdd(image, Math.trunc(110 * strength)),
  ColorIncreasing: (image, strength, signed) => adjustColor(image, 1 + signed(0.9 * strength)),
  ContrastIncreasing: (image, strength, signed) => adjustContrast(image, 1 + signed(0.9 * strength)),
  BrightnessIncreasing: (image, strength, signed) => adjustBrightness(image, 1 + signed(0.9 * strength)),
  SharpnessIncreasing: (image, strength, signed) => adjustSharpness(image, 1 + signed(0.9 * strength)),
  ShearX: (image, strength, signed) => shearX(image, signed(0.3 * strength)),
  ShearY: (image, strength, signed) => shearY(image, signed(0.3 * strength)),
  TranslateXRel: (image, strength, signed) => translateX(image, signed(0.45 * strength)),
  TranslateYRel: (image, strength, signed) => translateY(image, signed(0.45 * strength)),
}

export function randAugment(image: Image, random: RandomStream): Image {
  const signed = (value: number) => (random.uniform() < 0.5 ? value : -value)
  const names = Object.keys(OPERATIONS)
  let result = image
  for (const name of Array.from({ length: OPERATIONS_A_IMAGE }, () => random.pick(names))) {
    if (random.uniform() >= PROBABILITY) continue
    const magnitude = Math.min(MAX_MAGNITUDE, Math.max(0, MAGNITUDE + MAGNITUDE_STD * random.normal()))
    result = OPERATIONS[name](result, magnitude / MAX_MAGNITUDE, signed)
  }
  return result
}
