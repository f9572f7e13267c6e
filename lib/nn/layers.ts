import { type Activation, attention, layerNorm, linear, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
import { param } from './params.ts'

/** Of every LayerNorm and BatchNorm in the reference. */
export const NORM_EPS = 1e-5

/** Layers find their parameters under a prefix, `vision_model.encoder.stages.0.layers.1.`, by Hugging Face's names. */
export const norm = (params: Params, name: string, x: Tensor): Tensor =>
  layerNorm(x, param(params, `${name}.weight`), param(params, `${name}.bias`), NORM_EPS)

export const dense = (params: Params, name: string, x: Tensor, activation?: Activation): Tensor =>
  linear(x, param(params, `${name}.weight`), param(params, `${name}.bias`), activation)

/** Two linear layers. x [..., C] -> [..., C']. */
export const mlp = (params: Params, name: string, x: Tensor, activation: Activation = 'gelu'): Tensor =>
  dense(params, `${name}.fc2`, dense(params, `${name}.fc1`, x, activation))

/** Multi-head attention with its four projections. queries [B, N, C], context [B, M, C] -> [B, N, C]. */
export function multiHeadAttention(
  params: Params,
  name: string,
  queries: Tensor,
  context: Tensor,
  { heads, causal = false }: { heads: number; causal?: boolean },
): Tensor {
  const q = dense(params, `${name}.q_proj`, queries)
  const k = dense(params, `${name}.k_proj`, context)
  const v = dense(params, `${name}.v_proj`, context)
  const scale = (q.shape[2]! / heads) ** -0.5
  return dense(params, `${name}.out_proj`, attention(q, k, v, { heads, scale, causal }))
}

export type BlockOptions = {
  heads: number
  activation?: Activation
  causal?: boolean
  /** What happens to a branch before it is added: stochastic depth and dropout while training. */
  regularise?: (branch: Tensor, index: 0 | 1) => Tensor
}

/** A pre-norm transformer layer. x [B, N, C] -> [B, N, C]. */
export function transformerBlock(params: Params, prefix: string, x: Tensor, options: BlockOptions): Tensor {
  const regularise = options.regularise ?? ((branch: Tensor) => branch)
  return tidy(() => {
    const normed = norm(params, `${prefix}layer_norm1`, x)
    const attended = multiHeadAttention(params, `${prefix}self_attn`, normed, normed, options)
    const y = tf.add(x, regularise(attended, 0))
    const hidden = mlp(params, `${prefix}mlp`, norm(params, `${prefix}layer_norm2`, y), options.activation)
    return tf.add(y, regularise(hidden, 1))
  })
}

/** The same MLP over the tokens instead of the channels: x [B, G, C] -> [B, G', C]. */
export const mixer = (params: Params, name: string, x: Tensor): Tensor =>
  tf.transpose(mlp(params, name, tf.transpose(x, [0, 2, 1])), [0, 2, 1])
