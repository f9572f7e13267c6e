import { nativeBackend } from '../backends/native/current.ts'
import * as native from '../backends/native/fused/index.ts'
import { type Activation, attention, layerNorm, linear } from './ops.ts'
import { type Tensor, tf, tidy } from './tf.ts'

export type EncoderWeights = native.EncoderWeights
export type EncoderOptions = native.EncoderOptions & {
  /** Makes something of a branch before it is multiplied and added: dropout. */
  dropout?: (branch: Tensor, index: 0 | 1) => Tensor
}

export type Sequences = native.Sequences

/** Whether `encoderLayer` takes sequences, so that nothing needs to be padded or computed twice. */
export const takesSequences = (): boolean => nativeBackend() !== null

/**
 * A pre-norm transformer layer: x + attention(norm(x)), then + mlp(norm(...)). x [B, N, C] -> [B, N, C]; weights
 * [out, in]. Most of the time of a model is spent here, so a backend may have a kernel for all of it.
 */
export function encoderLayer(x: Tensor, weights: EncoderWeights, options: EncoderOptions): Tensor {
  const backend = nativeBackend()
  if (backend && !options.dropout) return native.encoderLayer(backend, x, weights, options)
  const { heads, activation, causal, eps, factors, sequences, dropout = (branch) => branch } = options
  if (sequences) throw new Error('sequences need the native backend, and no dropout')
  const add = (to: Tensor, branch: Tensor, index: 0 | 1) => {
    const of = factors?.[index]
    const kept = dropout(branch, index)
    return tf.add(to, of ? tf.mul(kept, tf.tensor(of, [of.length, 1, 1])) : kept)
  }
  return tidy(() => {
    const normed = layerNorm(x, weights.norm1, weights.norm1Bias, eps)
    const q = linear(normed, weights.q, weights.qBias)
    const k = linear(normed, weights.k, weights.kBias)
    const v = linear(normed, weights.v, weights.vBias)
    const attended = attention(q, k, v, { heads, scale: (x.shape[2]! / heads) ** -0.5, causal })
    const middle = add(x, linear(attended, weights.out, weights.outBias), 0)
    const inner = layerNorm(middle, weights.norm2, weights.norm2Bias, eps)
    const hidden = linear(inner, weights.fc1, weights.fc1Bias, activation as Activation)
    return add(middle, linear(hidden, weights.fc2, weights.fc2Bias), 1)
  })
}
