import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { clusterRows } from '../../lib/eval/clustering.ts'

/** 120 rows around three directions of 6 dimensions, in turn. */
function blobs(): Float32Array {
  const stream = randomStream(5, 'blobs')
  return Float32Array.from({ length: 120 * 6 }, (_, i) => {
    const blob = Math.floor(i / 6) % 3
    return (i % 3 === blob ? 1 : 0) * (i % 6 < 3 ? 1 : 0.8) + 0.05 * stream.normal()
  })
}

test.each(['kmeans', 'mean-shift', 'spectral'] as const)('%s finds three well separated clusters', (method) => {
  const clusters = clusterRows(method, blobs(), 6, 3)
  expect([...clusters]).toEqual(Array.from({ length: 120 }, (_, i) => i % 3))
  expect(clusterRows(method, blobs(), 6, 3)).toEqual(clusters)
})

test.each(['kmeans', 'mean-shift', 'spectral'] as const)(
  '%s takes fewer rows than clusters, and equal rows',
  (method) => {
    expect(new Set(clusterRows(method, Float32Array.of(1, 0, 0, 1), 2, 8)).size).toBeLessThanOrEqual(2)
    expect([...clusterRows(method, new Float32Array(20).fill(1), 2, 4)].every((c) => c >= 0)).toBe(true)
  },
)
