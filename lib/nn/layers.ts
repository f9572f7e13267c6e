import {
  type Activation,
  attention,
  type EncoderOptions,
  type EncoderWeights,
  encoderLayer,
  layerNorm,
  linear,
  type Params,
  type Tensor,
  tf,
  tidy,
} from '../tensor/index.ts'
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
  tidy(() => dense(params, `${name}.fc2`, dense(params, `${name}.fc1`, x, activation)))

/** Cross-attention with its four projections. queries [B, N, C], context [B, M, C] -> [B, N, C]. */
export function crossAttention(
  params: Params,
  name: string,
  queries: Tensor,
  context: Tensor,
  { heads }: { heads: number },
): Tensor {
  return tidy(() => {
    const q = dense(params, `${name}.q_proj`, queries)
    const k = dense(params, `${name}.k_proj`, context)
    const v = dense(params, `${name}.v_proj`, context)
    const scale = (q.shape[2]! / heads) ** -0.5
    return dense(params, `${name}.out_proj`, attention(q, k, v, { heads, scale }))
  })
}

export type LayerOptions = {
  heads: number
  activation?: Activation
  causal?: boolean
  /** Samples that lie one after the other, x [R, C], where the backend `takesSequences`. */
  sequences?: EncoderOptions['sequences']
  /** Factors of the attention and the MLP of each sample while training: stochastic depth. */
  factors?: EncoderOptions['factors']
  /** Dropout of a branch while training. */
  dropout?: EncoderOptions['dropout']
}

/** A pre-norm transformer layer. x [B, N, C] -> [B, N, C]. */
export function transformerLayer(params: Params, prefix: string, x: Tensor, options: LayerOptions): Tensor {
  const weights = Object.fromEntries(
    Object.entries(ENCODER_PARAMETERS).map(([key, name]) => [key, param(params, prefix + name)]),
  ) as EncoderWeights
  return encoderLayer(x, weights, { activation: 'gelu', causal: false, eps: NORM_EPS, ...options })
}

/** Hugging Face's names of the parameters of a layer. */
const ENCODER_PARAMETERS: Record<keyof EncoderWeights, string> = {
  norm1: 'layer_norm1.weight',
  norm1Bias: 'layer_norm1.bias',
  q: 'self_attn.q_proj.weight',
  qBias: 'self_attn.q_proj.bias',
  k: 'self_attn.k_proj.weight',
  kBias: 'self_attn.k_proj.bias',
  v: 'self_attn.v_proj.weight',
  vBias: 'self_attn.v_proj.bias',
  out: 'self_attn.out_proj.weight',
  outBias: 'self_attn.out_proj.bias',
  norm2: 'layer_norm2.weight',
  norm2Bias: 'layer_norm2.bias',
  fc1: 'mlp.fc1.weight',
  fc1Bias: 'mlp.fc1.bias',
  fc2: 'mlp.fc2.weight',
  fc2Bias: 'mlp.fc2.bias',
}

/** The same MLP over the tokens instead of the channels: x [B, G, C] -> [B, G', C]. */
export const mixer = (params: Params, name: string, x: Tensor): Tensor =>
  tidy(() => tf.transpose(mlp(params, name, tf.transpose(x, [0, 2, 1])), [0, 2, 1]))
