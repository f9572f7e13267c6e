import { type Tensor, tf } from '../tensor/index.ts'

/**
 * Stochastic depth: what the branch of each sample is multiplied by. That of a sample whose uniform number is below
 * `rate` is dropped, the others are scaled by 1 / (1 − rate), so that the expectation stays (timm's drop_path:
 * floor(1 − rate + u)).
 */
export const dropPathFactors = (rate: number, uniforms: ArrayLike<number>): Float32Array =>
  Float32Array.from(uniforms, (u) => Math.floor(1 - rate + u) / (1 - rate))

/** Dropout: zeroes an element whose uniform number is below `rate` and scales the others by 1 / (1 − rate). */
export function dropout(x: Tensor, rate: number, uniforms: ArrayLike<number>): Tensor {
  const factors = Float32Array.from(uniforms, (u) => (u < rate ? 0 : 1 / (1 - rate)))
  return tf.mul(x, tf.tensor(factors, x.shape))
}
