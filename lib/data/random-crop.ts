import type { RandomStream } from '../core/rng.ts'
import type { Box, Image } from './image.ts'

/** Aspect of a random crop, width over height, drawn evenly on a logarithmic scale (torchvision's and timm's default). */
const RATIO = [3 / 4, 4 / 3] as const
const ATTEMPTS = 10

/**
 * The box of torchvision's RandomResizedCrop: an area of `scale` times the image's and an aspect in 3/4…4/3; after ten
 * attempts that do not fit, the largest centred box whose aspect does.
 */
export function drawCropBox(
  { width, height }: Pick<Image, 'width' | 'height'>,
  scale: readonly [number, number],
  random: RandomStream,
): Box {
  const [logLow, logHigh] = [Math.log(RATIO[0]), Math.log(RATIO[1])]
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = width * height * (scale[0] + (scale[1] - scale[0]) * random.uniform())
    const ratio = Math.exp(logLow + (logHigh - logLow) * random.uniform())
    const w = Math.round(Math.sqrt(area * ratio))
    const h = Math.round(Math.sqrt(area / ratio))
    if (w > 0 && h > 0 && w <= width && h <= height)
      return { x: random.int(width - w + 1), y: random.int(height - h + 1), width: w, height: h }
  }
  const ratio = width / height
  const w = ratio > RATIO[1] ? Math.round(height * RATIO[1]) : width
  const h = ratio < RATIO[0] ? Math.round(width / RATIO[0]) : height
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h }
}

/** Mirrors an image left to right, in place. */
export function flip({ data, width, height }: Image): void {
  for (let y = 0; y < height; y++) {
    for (let left = y * width * 3, right = left + (width - 1) * 3; left < right; left += 3, right -= 3) {
      for (let c = 0; c < 3; c++) {
        const kept = data[left + c]
        data[left + c] = data[right + c]
        data[right + c] = kept
      }
    }
  }
}
