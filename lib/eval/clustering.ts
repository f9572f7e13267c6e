import { kmeans } from 'ml-kmeans'
import { randomStream } from '../core/rng.ts'

/**
 * Segments of a plain ViT by clustering its tokens: the zero-shot baselines of the paper's Table 4. Rows of features are
 * [N, C]; every method gives one cluster a row, numbered from 0 without gaps, and depends on the features alone.
 */
export type Clustering = 'kmeans' | 'mean-shift' | 'spectral'

export function clusterRows(method: Clustering, features: Float32Array, dim: number, clusters: number): Int32Array {
  const rows = unitRows(features, dim)
  switch (method) {
    case 'kmeans':
      return kMeans(rows, clusters)
    case 'mean-shift':
      return meanShift(rows)
    case 'spectral':
      return spectral(rows, clusters)
    default:
      return method satisfies never
  }
}

/** Rows of length 1, so that distances are those of the cosine that classifies them. */
function unitRows(features: Float32Array, dim: number): number[][] {
  return Array.from({ length: features.length / dim }, (_, r) => {
    const row = Array.from(features.subarray(r * dim, (r + 1) * dim))
    const norm = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)) || 1
    return row.map((v) => v / norm)
  })
}

function kMeans(rows: number[][], clusters: number): Int32Array {
  const count = Math.min(clusters, rows.length)
  return withoutGaps(kmeans(rows, count, { seed: 0, maxIterations: 50 }).clusters)
}

function squaredDistance(a: readonly number[], b: readonly number[]): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) * (a[i] - b[i])
  return sum
}

/** Share of the rows that lie within the bandwidth of a row on average (the default of scikit-learn's estimate). */
const QUANTILE = 0.3
const SEEDS = 64
const MOVES = 30

/** Mean shift with a flat kernel from up to 64 evenly spread rows; modes closer than the bandwidth are one. */
function meanShift(rows: number[][]): Int32Array {
  const bandwidth = bandwidthOf(rows)
  const step = Math.max(1, Math.floor(rows.length / SEEDS))
  const modes: { at: number[]; weight: number }[] = []
  for (let seed = 0; seed < rows.length; seed += step) modes.push(climb(rows, rows[seed], bandwidth))
  const kept: number[][] = []
  for (const { at } of modes.sort((a, b) => b.weight - a.weight))
    if (kept.every((other) => squaredDistance(at, other) > bandwidth * bandwidth)) kept.push(at)
  return withoutGaps(rows.map((row) => nearest(row, kept)))
}

/** Moves to the mean of the rows within the bandwidth until it stays. */
function climb(rows: number[][], start: readonly number[], bandwidth: number): { at: number[]; weight: number } {
  let at = [...start]
  let weight = 0
  for (let move = 0; move < MOVES; move++) {
    const mean = new Array<number>(at.length).fill(0)
    weight = 0
    for (const row of rows) {
      if (squaredDistance(row, at) > bandwidth * bandwidth) continue
      weight++
      for (let i = 0; i < mean.length; i++) mean[i] += row[i]
    }
    if (weight === 0) break
    for (let i = 0; i < mean.length; i++) mean[i] /= weight
    const moved = squaredDistance(mean, at)
    at = mean
    if (moved < 1e-8 * bandwidth * bandwidth) break
  }
  return { at, weight }
}

function bandwidthOf(rows: number[][]): number {
  const neighbours = Math.max(1, Math.floor(rows.length * QUANTILE))
  let sum = 0
  for (const row of rows) {
    const distances = Float64Array.from(rows, (other) => squaredDistance(row, other)).sort()
    sum += Math.sqrt(distances[neighbours - 1])
  }
  return Math.max(sum / rows.length, 1e-6)
}

function nearest(row: readonly number[], places: readonly number[][]): number {
  let best = 0
  let least = Number.POSITIVE_INFINITY
  for (const [i, place] of places.entries()) {
    const distance = squaredDistance(row, place)
    if (distance < least) {
      least = distance
      best = i
    }
  }
  return best
}

const ROUNDS = 60

/**
 * Normalised spectral clustering (Ng, Jordan and Weiss): a Gaussian affinity as wide as the median distance, its leading
 * eigenvectors by orthogonal iteration, k-means on their rows.
 */
function spectral(rows: number[][], clusters: number): Int32Array {
  const n = rows.length
  const count = Math.min(clusters, n)
  const affinity = new Float64Array(n * n)
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) affinity[i * n + j] = squaredDistance(rows[i], rows[j])
  const width = affinity.slice().sort()[Math.floor((n * n) / 2)] || 1
  for (let i = 0; i < n * n; i++) affinity[i] = Math.exp(-affinity[i] / (2 * width))
  const degree = Float64Array.from({ length: n }, (_, i) =>
    Math.sqrt(affinity.subarray(i * n, (i + 1) * n).reduce((a, b) => a + b, 0)),
  )
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) affinity[i * n + j] /= degree[i] * degree[j]

  const stream = randomStream(0, 'spectral', n)
  let vectors = orthonormal(
    Array.from({ length: count }, () => Float64Array.from({ length: n }, () => stream.normal())),
  )
  for (let round = 0; round < ROUNDS; round++) vectors = orthonormal(vectors.map((vector) => product(affinity, vector)))
  const embedded = Array.from({ length: n }, (_, i) => {
    const row = vectors.map((vector) => vector[i])
    const norm = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)) || 1
    return row.map((v) => v / norm)
  })
  return kMeans(embedded, count)
}

function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const n = vector.length
  const out = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    let sum = 0
    for (let j = 0; j < n; j++) sum += matrix[i * n + j] * vector[j]
    out[i] = sum
  }
  return out
}

/** Gram–Schmidt. */
function orthonormal(vectors: Float64Array[]): Float64Array[] {
  const done: Float64Array[] = []
  for (const vector of vectors) {
    for (const other of done) {
      let dot = 0
      for (let i = 0; i < vector.length; i++) dot += vector[i] * other[i]
      for (let i = 0; i < vector.length; i++) vector[i] -= dot * other[i]
    }
    const norm = Math.sqrt(vector.reduce((sum, v) => sum + v * v, 0)) || 1
    done.push(vector.map((v) => v / norm))
  }
  return done
}

/** Clusters numbered in the order in which they first appear. */
function withoutGaps(clusters: readonly number[]): Int32Array {
  const numbers = new Map<number, number>()
  return Int32Array.from(clusters, (cluster) => {
    const known = numbers.get(cluster)
    if (known !== undefined) return known
    numbers.set(cluster, numbers.size)
    return numbers.size - 1
  })
}
