import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { groupOfPixels, labelPixels, mapsOnPatches, upsample } from '../../lib/eval/maps.ts'
import { averageWindows, slidingWindows } from '../../lib/eval/windows.ts'

const stream = randomStream(3, 'maps')
const uniform = (n: number) => Float32Array.from({ length: n }, () => stream.uniform())

test('the groups of a later stage are seen through the earlier one', () => {
  const first = { data: Float32Array.of(1, 0, 0, 0, 1, 1), groups: 2, tokens: 3 }
  const second = { data: Float32Array.of(0.25, 0.75), groups: 1, tokens: 2 }
  expect([...mapsOnPatches([first, second])[1].data]).toEqual([0.25, 0.75, 0.75])
})

test('the group of a pixel is the argmax of the interpolated map', () => {
  const map = { data: uniform(5 * 12), groups: 5, tokens: 12 }
  const full = upsample(map, 3, 4, 11, 17)
  const expected = Int32Array.from({ length: 11 * 17 }, (_, i) => {
    const values = Array.from({ length: 5 }, (_, g) => full[g * 11 * 17 + i])
    return values.indexOf(Math.max(...values))
  })
  expect(groupOfPixels(map, 3, 4, 11, 17)).toEqual(expected)
})

test('labels after a resize are the argmax of the resized scores', () => {
  const [height, width, rows, classes] = [9, 7, 4, 3]
  const row = Int32Array.from({ length: height * width }, () => stream.int(rows))
  const scores = Float64Array.from({ length: rows * classes }, () => stream.uniform())
  const planes = Float32Array.from({ length: classes * height * width }, (_, i) => {
    const c = Math.floor(i / (height * width))
    return scores[row[i % (height * width)] * classes + c]
  })
  const resized = upsample({ data: planes, groups: classes, tokens: height * width }, height, width, 13, 20)
  const expected = Uint8Array.from({ length: 13 * 20 }, (_, i) => {
    const values = Array.from({ length: classes }, (_, c) => resized[c * 13 * 20 + i])
    return values.indexOf(Math.max(...values))
  })
  expect(labelPixels({ width, height, row, scores, classes }, 13, 20)).toEqual(expected)
})

test('windows cover the image, the last ones end at its border', () => {
  expect(slidingWindows(80, 48, 32, 16).map(({ x, y }) => [x, y])).toEqual([
    ...[0, 16, 32, 48].map((x) => [x, 0]),
    ...[0, 16, 32, 48].map((x) => [x, 16]),
  ])
  expect(slidingWindows(597, 448, 448, 224).map(({ x }) => x)).toEqual([0, 149])
  expect(slidingWindows(20, 30, 32, 16)).toEqual([{ x: 0, y: 0, width: 20, height: 30 }])
})

test('scores of windows are averaged where they overlap', () => {
  const windows = slidingWindows(7, 4, 4, 2)
  const classes = 2
  const parts = windows.map(() => ({
    width: 4,
    height: 4,
    row: Int32Array.from({ length: 16 }, () => stream.int(3)),
    scores: Float64Array.from({ length: 6 }, () => stream.uniform()),
    classes,
  }))
  const joint = averageWindows(7, 4, windows, parts)
  for (let y = 0; y < 4; y++)
    for (let x = 0; x < 7; x++) {
      const over = windows.flatMap((window, i) =>
        x >= window.x && x < window.x + 4 ? [[window, parts[i]] as const] : [],
      )
      for (let c = 0; c < classes; c++) {
        const values = over.map(([window, part]) => part.scores[part.row[y * 4 + x - window.x] * classes + c])
        const mean = values.reduce((a, b) => a + b, 0) / values.length
        expect(joint.scores[joint.row[y * 7 + x] * classes + c]).toBeCloseTo(mean, 12)
      }
    }
})
