import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { countImage } from '../../lib/eval/confusion.ts'
import { overlapOf } from '../../lib/eval/overlap.ts'

test('each segment gets the class it fits best, and each class its best segment', () => {
  const mask = Uint8Array.of(0, 0, 0, 0, 2, 2, 255, 1)
  const segments = Int32Array.of(0, 0, 0, 1, 1, 1, 1, 0)
  const { oracle, best } = overlapOf(segments, 2, mask, 3)
  expect(oracle).toEqual(countImage(Uint8Array.of(0, 0, 0, 2, 2, 2, 2, 0), mask, 3))
  expect(best).toEqual([
    [0, 3 / 5],
    [1, 1 / 4],
    [2, 2 / 3],
  ])
})

test('the oracle counts as if its labels were painted, also with segments that have no pixel', () => {
  const stream = randomStream(5, 'oracle')
  const [classes, count, pixels] = [4, 7, 600]
  for (let round = 0; round < 20; round++) {
    // runs, as in images; segment 3 has no pixel, classes 4 and 255 are foreign and ignored
    const runs = (draw: () => number) => {
      let value = draw()
      return Array.from({ length: pixels }, () => {
        if (stream.int(6) === 0) value = draw()
        return value
      })
    }
    const segments = Int32Array.from(runs(() => [0, 1, 2, 4, 5, 6][stream.int(6)]))
    const mask = Uint8Array.from(runs(() => [0, 1, 2, 4, 255][stream.int(5)]))
    const { oracle } = overlapOf(segments, count, mask, classes)
    const classOf = Array.from({ length: count }, (_, s) => {
      const ious = Array.from({ length: classes }, (_, c) => {
        const label = mask.filter((m) => m === c).length
        if (label === 0) return -1
        const area = mask.filter((m, i) => segments[i] === s && m !== 255).length
        const both = mask.filter((m, i) => segments[i] === s && m === c).length
        return both / (area + label - both)
      })
      return ious.indexOf(Math.max(...ious))
    })
    expect(oracle).toEqual(
      countImage(
        Uint8Array.from(segments, (s) => classOf[s]),
        mask,
        classes,
      ),
    )
  }
})
