import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { boundaryDistance, contourOf, countBoundary } from '../../lib/eval/boundary.ts'
import { scoresOf, sumCounts } from '../../lib/eval/confusion.ts'

/** The definition, word by word: pad one zero pixel, erode by 3 × 3 d times, subtract. */
function byErosion(mask: Uint8Array, width: number, height: number, d: number): Uint8Array {
  const w = width + 2
  let eroded = new Uint8Array(w * (height + 2))
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) eroded[(y + 1) * w + x + 1] = mask[y * width + x]
  for (let round = 0; round < d; round++) {
    const next = new Uint8Array(eroded.length)
    for (let y = 1; y <= height; y++)
      for (let x = 1; x <= width; x++) {
        let all = 1
        for (let dy = -1; dy <= 1; dy++) for (let dx = -1; dx <= 1; dx++) all &= eroded[(y + dy) * w + x + dx]
        next[y * w + x] = all
      }
    eroded = next
  }
  return mask.map((m, i) => m - eroded[(Math.floor(i / width) + 1) * w + (i % width) + 1])
}

test('the distance is 2 % of the diagonal, halves to even, at least 1', () => {
  expect(boundaryDistance(64, 64)).toBe(2)
  expect(boundaryDistance(500, 375)).toBe(12)
  expect(boundaryDistance(10, 10)).toBe(1)
  expect(boundaryDistance(75, 100)).toBe(2)
})

test('one pass over all labels draws the same contours as erosion of each mask', () => {
  const stream = randomStream(1, 'boundary')
  const [width, height] = [37, 29]
  const labels = new Uint8Array(width * height)
  for (let blob = 0; blob < 9; blob++) {
    const [cx, cy, r] = [stream.int(width), stream.int(height), 3 + stream.int(9)]
    for (let i = 0; i < labels.length; i++)
      if ((i % width) - cx < r && (i % width) - cx > -r && Math.abs(Math.floor(i / width) - cy) < r)
        labels[i] = blob % 4
  }
  for (const d of [1, 2, 3]) {
    const contour = contourOf(labels, width, height, d)
    for (let c = 0; c < 4; c++) {
      const mask = labels.map((label) => (label === c ? 1 : 0))
      expect(mask.map((m, i) => m * Number(contour[i] === c))).toEqual(byErosion(mask, width, height, d))
    }
  }
})

test('a prediction that is right wherever it counts scores 1', () => {
  const mask = Uint8Array.from({ length: 400 }, (_, i) => (i % 20 < 9 ? 0 : i % 20 < 11 ? 255 : 1))
  const pred = mask.map((m) => (m === 255 ? 1 : m))
  expect(scoresOf(sumCounts([countBoundary(pred, mask, 20, 20, 2)], 2)).iou).toEqual([1, 1])
})
