import type { Config } from '../config/schema.ts'
import { l2Normalize, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
import { type BatchMoments, embedImage, projectText } from './heads.ts'
import { encodeImage, type TrainingNoise } from './image.ts'
import { contrastiveLoss, multiLabelLoss } from './losses.ts'
import { encodeTokens, type Tokens } from './text.ts'

export type TrainingLoss = {
  /** What is minimised: contrastive + weight × multi-label. */
  loss: Tensor
  contrastive: Tensor
  /** 0 without nouns. */
  multiLabel: Tensor
  moments: BatchMoments
}

/**
 * Both encoders on a batch in training. images [B, H, W, 3]; tokens of B·(1 + K) texts, each image's caption followed by
 * its K prompted nouns: all texts pass the text tower, and its BatchNorm, together (reference code).
 */
export function trainingLoss(
  params: Params,
  config: Config,
  images: Tensor,
  tokens: Tokens,
  noise: TrainingNoise,
): TrainingLoss {
  return tidy(() => {
    const { model } = config
    const batch = images.shape[0]!
    const each = tokens.batch / batch // 1 + K
    const moments: BatchMoments = {}
    const tell = (found: BatchMoments) => Object.assign(moments, found)

    const imageEmbeds = l2Normalize(embedImage(params, model, encodeImage(params, model, images, noise), 'train', tell))
    const texts = encodeTokens(params, model, tokens).pooled
    const textEmbeds = l2Normalize(projectText(params, model, texts, 'train', tell)) // [B·(1 + K), P]

    const dim = model.projection.dim
    const grouped = tf.reshape(textEmbeds, [batch, each, dim])
    const captions = tf.reshape(tf.slice(grouped, [0, 0, 0], [batch, 1, dim]), [batch, dim])
    const contrastive = contrastiveLoss(params, model, imageEmbeds, captions, config.loss)
    if (each === 1 || config.multiLabel.weight === 0)
      return { loss: tf.clone(contrastive), contrastive, multiLabel: tf.scalar(0), moments }
    const nouns = tf.reshape(tf.slice(grouped, [0, 1, 0], [batch, each - 1, dim]), [batch * (each - 1), dim])
    const multiLabel = multiLabelLoss(params, model, imageEmbeds, nouns, config.loss, config.multiLabel)
    const loss = tf.add(contrastive, tf.mul(multiLabel, config.multiLabel.weight))
    return { loss, contrastive, multiLabel, moments }
  })
}
