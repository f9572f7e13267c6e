import type { RandomStream } from '../core/rng.ts'

/** timm's RandomErasing in mode `pixel`, one box, as the reference configures it. */
const PROBABILITY = 0.25
const AREA = [0.02, 1 / 3] as const
const LOG_ASPECT = [Math.log(0.3), Math.log(1 / 0.3)] as const
const ATTEMPTS = 10

/** Fills a random box of a normalised image, [size, size, 3] at `offset`, with N(0, 1) now and then. */
export function randomErase(pixels: Float32Array, offset: number, size: number, random: RandomStream): void {
  if (random.uniform() >= PROBABILITY) return
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = (AREA[0] + (AREA[1] - AREA[0]) * random.uniform()) * size * size
    const aspect = Math.exp(LOG_ASPECT[0] + (LOG_ASPECT[1] - LOG_ASPECT[0]) * random.uniform())
    const height = Math.round(Math.sqrt(area * aspect))
    const width = Math.round(Math.sqrt(area / aspect))
    if (width >= size || height >= size) continue
    const top = random.int(size - height + 1)
    const left = random.int(size - width + 1)
    for (let y = top; y < top + height; y++) {
      const row = offset + (y * size + left) * 3
      for (let i = row; i < row + width * 3; i++) pixels[i] = random.normal()
    }
    return
  }
}
