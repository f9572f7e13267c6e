import { type Tensor, tf } from '../tensor/index.ts'

/**
 * Stochastic depth: drops the branch x [B, ...] of a sample whose uniform number is below `rate` and scales the others
 * by 1 / (1 − rate), so that the expectation stays (timm's drop_path: floor(1 − rate + u)).
 */
export function dropPath(x: Tensor, rate: number, uniforms: ArrayLike<number>): Tensor {
  const factors = Float32Array.from(uniforms, (u) => Math.floor(1 - rate + u) / (1 - rate))
  return tf.mul(x, tf.tensor(factors, [x.shape[0], ...x.shape.slice(1).map(() => 1)]))
}

/** Dropout: zeroes an element whose uniform number is below `rate` and scales the others by 1 / (1 − rate). */
export function dropout(x: Tensor, rate: number, uniforms: ArrayLike<number>): Tensor {
  const factors = Float32Array.from(uniforms, (u) => (u < rate ? 0 : 1 / (1 - rate)))
  return tf.mul(x, tf.tensor(factors, x.shape))
}
