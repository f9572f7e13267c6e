import { randomStream } from '../core/rng.ts'
import { encodeImage, initParams, projectImage, trainableNames } from '../model/index.ts'
import { type Tensor, tf } from '../tensor/index.ts'
import { createAdamW } from '../train/adamw.ts'
import { type TrainBatch, trainStep } from '../train/step.ts'
import type { Size } from './sizes.ts'

/** A piece of work that is measured, and its images. */
export type Kind = 'train' | 'eval'

/** What is done in one step; it ends when the numbers are there. */
export type Step = () => Promise<void>

/** Whole optimizer steps: both towers forward and backward, clipping, AdamW. `tokens` are those of one batch (texts.ts). */
export function trainingStep({ config }: Size, batch: number, tokens: number[]): Step {
  const { model } = config
  const params = initParams(model, 0)
  const optimizer = createAdamW(config.train, params, trainableNames(model))
  const { normal } = randomStream(0, 'bench')
  const data: TrainBatch = {
    images: Float32Array.from({ length: batch * model.imageSize ** 2 * 3 }, normal),
    tokens: Int32Array.from(tokens),
  }
  let done = 0
  return async () => {
    const values = trainStep({ params, optimizer, config, batch: data, step: done++ }).read()
    if (!Number.isFinite(values['train/loss'])) throw new Error('the loss is not a number')
  }
}

/** Segments of images and their place in the common space; the texts of the classes are encoded once, and not here. */
export function evaluationStep({ config: { model } }: Size, batch: number): Step {
  const params = initParams(model, 0, (name) => /^(vision_model|visual_projection)\./.test(name))
  const { normal } = randomStream(0, 'bench')
  const images = tf.tensor4d(Float32Array.from({ length: batch * model.imageSize ** 2 * 3 }, normal), [
    batch,
    model.imageSize,
    model.imageSize,
    3,
  ])
  return async () => {
    const out = tf.tidy(() => {
      const { segments } = encodeImage(params, model, images)
      return projectImage(params, model, tf.reshape(segments, [-1, model.embedDim]), 'eval')
    }) as Tensor
    await out.data()
    out.dispose()
  }
}
