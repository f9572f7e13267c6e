import { describe, expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import {
  type AttentionMap,
  groupOfPixels,
  labelEach,
  labelPixels,
  mapsOnPatches,
  nearestRows,
  type PixelScores,
  upsample,
} from '../../lib/eval/maps.ts'
import { averageWindows, joinWindows, slidingWindows } from '../../lib/eval/windows.ts'

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

/** Bilinear weights of a pixel of `to` over `from` patches, by the definition. */
function weights(i: number, from: number, to: number): [low: number, high: number, part: number] {
  const at = Math.max(0, ((i + 0.5) * from) / to - 0.5)
  const low = Math.min(Math.floor(at), from - 1)
  return [low, Math.min(low + 1, from - 1), at - low]
}

const firstHighest = (values: number[]) => values.indexOf(Math.max(...values))

/** The group of each pixel one by one: what its four patches agree on, or else the first with the highest value. */
function groupsOneByOne({ data, groups, tokens }: AttentionMap, rows: number, columns: number, h: number, w: number) {
  const all = Array.from({ length: groups }, (_, g) => g)
  return Int32Array.from({ length: h * w }, (_, i) => {
    const [top, bottom, fy] = weights(Math.floor(i / w), rows, h)
    const [left, right, fx] = weights(i % w, columns, w)
    const corners = [top * columns + left, top * columns + right, bottom * columns + left, bottom * columns + right]
    const winners = corners.map((n) => firstHighest(all.map((g) => data[g * tokens + n])))
    if (winners.every((winner) => winner === winners[0])) return winners[0]
    return firstHighest(
      all.map((g) => {
        const [a, b, c, d] = corners.map((n) => data[g * tokens + n])
        return (a * (1 - fy) + c * fy) * (1 - fx) + (b * (1 - fy) + d * fy) * fx
      }),
    )
  })
}

const NUMBERS = {
  'of any size': () => stream.uniform(),
  'with ties': () => [0, 0, 0.25, 0.5, 1][stream.int(5)],
  'nearly alike': () => 0.5 + 2 ** -23 * stream.int(3),
}
const SIZES = [
  [33, 47],
  [5, 6],
  [4, 3],
  [64, 48],
]

describe.each(Object.entries(NUMBERS))('values %s', (_, draw) => {
  test.each(SIZES)('groups between patches are those of each pixel by itself (%i × %i)', (h, w) => {
    for (let round = 0; round < 5; round++) {
      const map = { data: Float32Array.from({ length: 6 * 20 }, draw), groups: 6, tokens: 20 }
      expect(groupOfPixels(map, 5, 4, h, w)).toEqual(groupsOneByOne(map, 5, 4, h, w))
    }
  })

  test.each(SIZES)('labels in runs are those of each pixel by itself (%i × %i)', (h, w) => {
    const [height, width, rows, classes] = [29, 31, 6, 4]
    for (let round = 0; round < 5; round++) {
      let last = 0
      const row = Int32Array.from({ length: height * width }, (_, i) => {
        if (stream.int(5) === 0) last = stream.int(rows)
        return i >= width && stream.int(3) > 0 ? -1 : last
      })
      for (let i = width; i < row.length; i++) if (row[i] < 0) row[i] = row[i - width]
      const scored = [0, 1].map((): PixelScores => {
        const scores = Float64Array.from({ length: rows * classes }, draw)
        return { width, height, row, scores, classes }
      })
      const labels = labelEach(scored, h, w)
      for (const [k, { scores }] of scored.entries()) {
        const expected = Uint8Array.from({ length: h * w }, (_, i) => {
          const [top, bottom, fy] = weights(Math.floor(i / w), height, h)
          const [left, right, fx] = weights(i % w, width, w)
          const [a, b, c, d] = [
            row[top * width + left],
            row[top * width + right],
            row[bottom * width + left],
            row[bottom * width + right],
          ]
          const of = (r: number) => Array.from(scores.subarray(r * classes, (r + 1) * classes))
          if (a === b && a === c && a === d) return firstHighest(of(a))
          const [as, bs, cs, ds] = [of(a), of(b), of(c), of(d)]
          return firstHighest(
            as.map((_, n) => (as[n] * (1 - fx) + bs[n] * fx) * (1 - fy) + (cs[n] * (1 - fx) + ds[n] * fx) * fy),
          )
        })
        expect(labels[k]).toEqual(expected)
      }
    }
  })
})

test('each pixel of an image has the rows of all windows over it', () => {
  const [width, height] = [19, 14]
  const windows = slidingWindows(width, height, 8, 3)
  let offset = 0
  const offsets = windows.map((_, i) => {
    const before = offset
    offset += 2 + (i % 3)
    return before
  })
  const parts = windows.map((window, i) => ({
    width: window.width,
    height: window.height,
    row: Int32Array.from({ length: window.width * window.height }, () => stream.int(2 + (i % 3))),
    scores: new Float64Array(2 * (2 + (i % 3))),
    classes: 2,
  }))
  const { row, members } = joinWindows(width, height, windows, parts, new Int32Array(width * height).fill(99))
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const over = windows.flatMap((window, i) => {
        const [inX, inY] = [x - window.x, y - window.y]
        const isInside = inX >= 0 && inX < window.width && inY >= 0 && inY < window.height
        return isInside ? [offsets[i] + parts[i].row[inY * window.width + inX]] : []
      })
      expect(members![row[y * width + x]]).toEqual(over)
    }
})

test('the nearest row is that of the pixel in the middle', () => {
  const row = Int32Array.from({ length: 6 * 4 }, (_, i) => i)
  const pixels = { width: 6, height: 4, row, scores: new Float64Array(24), classes: 1 }
  expect([...nearestRows(pixels, 2, 3)]).toEqual([7, 9, 11, 19, 21, 23])
})
