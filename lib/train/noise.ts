import { type RandomKey, randomStream } from '../core/rng.ts'
import type { TrainingNoise } from '../model/index.ts'
import { sizeOf, tf } from '../tensor/index.ts'

/**
 * The random numbers of a training step. Each sample of the batch has its own stream, keyed by (seed, place, step,
 * layer, row): nothing has to be saved to resume, and a batch computed in chunks sees the same numbers.
 */
export function stepNoise(seed: number, step: number): TrainingNoise {
  return {
    gumbel: (block, shape) => {
      const values = rowsOf(shape[0], sizeOf(shape), seed, ['gumbel', step, block])
      // half a unit of the 32-bit uniform keeps both logarithms finite
      for (let i = 0; i < values.length; i++) values[i] = -Math.log(-Math.log(values[i] + 2 ** -33))
      return tf.tensor(new Float32Array(values), shape)
    },
    dropPath: (layer, branch, batch) => rowsOf(batch, batch, seed, ['dropPath', step, layer, branch]),
    dropout: (layer, branch, batch, size) => rowsOf(batch, size, seed, ['dropout', step, layer, branch]),
  }
}

/** U[0, 1) numbers, `size` in all, in equal parts from the stream of each row. */
function rowsOf(rows: number, size: number, seed: number, key: RandomKey[]): Float64Array {
  const out = new Float64Array(size)
  const each = size / rows
  for (let row = 0; row < rows; row++) {
    const { uniform } = randomStream(seed, ...key, row)
    for (let i = row * each; i < (row + 1) * each; i++) out[i] = uniform()
  }
  return out
}
