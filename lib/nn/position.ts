import { type Tensor, tf, tidy } from '../tensor/index.ts'

/**
 * A position embedding [1, n·n, C] for another grid: bicubic, half-pixel centres, a = −0.75, borders repeated, as
 * torch's interpolate(mode='bicubic', align_corners=False, size=(h, w)). The same grid is returned as it is.
 */
export function interpolatePositions(embedding: Tensor, [h, w]: [number, number]): Tensor {
  const n = Math.round(Math.sqrt(embedding.shape[1]!))
  if (h === n && w === n) return embedding
  return tidy(() => {
    const [down, across] = [bicubicWeights(n, h), bicubicWeights(n, w)]
    const weights = new Float32Array(h * w * n * n)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++)
        for (const [i, wy] of down[y])
          for (const [j, wx] of across[x]) weights[(y * w + x) * n * n + i * n + j] += wy * wx
    const flat = tf.reshape(embedding, [n * n, -1])
    return tf.expandDims(tf.matMul(tf.tensor2d(weights, [h * w, n * n]), flat as tf.Tensor2D), 0) // [1, h·w, C]
  })
}

/** For each of `to` output points the four input points of `from` and their weights. */
function bicubicWeights(from: number, to: number): [number, number][][] {
  const a = -0.75
  const near = (t: number) => ((a + 2) * t - (a + 3)) * t * t + 1
  const far = (t: number) => ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
  return Array.from({ length: to }, (_, i) => {
    const at = ((i + 0.5) * from) / to - 0.5
    const left = Math.floor(at)
    const t = at - left
    const weights = [far(t + 1), near(t), near(1 - t), far(2 - t)]
    return weights.map((weight, k) => [Math.min(from - 1, Math.max(0, left - 1 + k)), weight])
  })
}

/**
 * Fixed sine-cosine positions of an n × n grid, [1, n·n, C]: half of the channels for the column, half for the row, each
 * half sines then cosines with wavelengths from 2π to 10000·2π (Vaswani et al. 2017; in two dimensions as MoCo v3 and
 * MAE have it). C must be a multiple of 4.
 */
export function sinCosPositions(n: number, channels: number): Float32Array {
  const quarter = channels / 4
  const out = new Float32Array(n * n * channels)
  for (let y = 0; y < n; y++)
    for (let x = 0; x < n; x++)
      for (let c = 0; c < quarter; c++) {
        const frequency = 10000 ** (-c / quarter)
        const at = (y * n + x) * channels + c
        out[at] = Math.sin(x * frequency)
        out[at + quarter] = Math.cos(x * frequency)
        out[at + 2 * quarter] = Math.sin(y * frequency)
        out[at + 3 * quarter] = Math.cos(y * frequency)
      }
  return out
}
