import { expect, test } from 'vitest'
import { overlapOf } from '../../lib/eval/overlap.ts'

test('each segment gets the class it fits best, and each class its best segment', () => {
  const mask = Uint8Array.of(0, 0, 0, 0, 2, 2, 255, 1)
  const segments = Int32Array.of(0, 0, 0, 1, 1, 1, 1, 0)
  const { oracle, best } = overlapOf(segments, mask, 3)
  expect([...oracle]).toEqual([0, 0, 0, 2, 2, 2, 2, 0])
  expect(best).toEqual([
    [0, 3 / 5],
    [1, 1 / 4],
    [2, 2 / 3],
  ])
})
