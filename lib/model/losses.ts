import type { Config, ModelConfig } from '../config/schema.ts'
import { param } from '../nn/params.ts'
import { crossEntropy, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
import * as names from './names.ts'

/** Scale of the logits, exp of the learned number, at most `logitScale.max`. Beyond it no gradient reaches the number. */
export const scaleOf = (params: Params, model: ModelConfig, name: string): Tensor =>
  tf.minimum(tf.exp(param(params, name)), model.logitScale.max)

type Directions = Config['loss']['directions']
const join = (a: Tensor, b: Tensor, directions: Directions) =>
  directions === 'mean' ? tf.mul(tf.add(a, b), 0.5) : tf.add(a, b)

/**
 * Image-text contrastive loss (paper Eq. 6; the code averages its two directions). images, texts [B, P], normalised.
 */
export function contrastiveLoss(
  params: Params,
  model: ModelConfig,
  images: Tensor,
  texts: Tensor,
  { directions }: Config['loss'],
): Tensor {
  return tidy(() => {
    const logits = similarities(images, texts, scaleOf(params, model, names.LOGIT_SCALE)) // [B, B]
    const pairs = tf.eye(images.shape[0]!)
    return join(crossEntropy(logits, pairs), crossEntropy(tf.transpose(logits), pairs), directions)
  })
}

/**
 * Multi-label contrastive loss (paper §3.3, Eq. 7): the K prompted nouns of a caption are positives of its image.
 * images [B, P]; nouns [B·K, P], those of an image in a row; both normalised.
 */
export function multiLabelLoss(
  params: Params,
  model: ModelConfig,
  images: Tensor,
  nouns: Tensor,
  { directions }: Config['loss'],
  { temperature, positives }: Config['multiLabel'],
): Tensor {
  return tidy(() => {
    const name = temperature === 'own' ? names.MULTI_LABEL_SCALE : names.LOGIT_SCALE
    const logits = similarities(images, nouns, scaleOf(params, model, name)) // [B, B·K]
    const own = ownNouns(images.shape[0]!, nouns.shape[0]!)
    const toNouns =
      positives === 'mean-of-logs'
        ? crossEntropy(logits, tf.div(own, nouns.shape[0]! / images.shape[0]!))
        : logOfSum(logits, own)
    return join(toNouns, crossEntropy(tf.transpose(logits), tf.transpose(own)), directions)
  })
}

const similarities = (a: Tensor, b: Tensor, scale: Tensor) =>
  tf.mul(tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true), scale)

/** [B, B·K]: 1 where the noun belongs to the image. */
function ownNouns(images: number, nouns: number): Tensor {
  const each = nouns / images
  const out = new Float32Array(images * nouns)
  for (let i = 0; i < images; i++) out.fill(1, i * nouns + i * each, i * nouns + (i + 1) * each)
  return tf.tensor2d(out, [images, nouns])
}

/** −log of the share of the positives in the softmax, as Eq. 7 has it: one good positive is enough. */
function logOfSum(logits: Tensor, own: Tensor): Tensor {
  const others = tf.mul(tf.sub(1, own), -1e9)
  return tf.mean(tf.sub(tf.logSumExp(logits, -1), tf.logSumExp(tf.add(logits, others), -1)))
}
