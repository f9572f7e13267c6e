import { beforeAll, describe, expect, it, vi } from 'vitest'
import {
  contrastiveLoss,
  encodeImage,
  encodeText,
  multiLabelLoss,
  names,
  projectImage,
  projectText,
  scaleOf,
} from '../../lib/model/index.ts'
import { l2Normalize, openBackend, type Params, type Tensor, tf } from '../../lib/tensor/index.ts'
import { presentBackends } from './backends.ts'
import { allowed, type GoldenModel, goldenInputs, goldenModel, titleOf } from './model.ts'
import { goldenModels, goldenTensors, hasGolden, relativeError } from './set.ts'

const FORWARD = 1e-5

/** Everything that eval.safetensors names, computed by gvx. */
function evaluated(golden: GoldenModel, params: Params): Record<string, Tensor> {
  const { model, loss, multiLabel } = golden.config
  const inputs = goldenInputs(golden.name)
  const batch = inputs.batch
  const images = tf.tensor4d(inputs.images(0), [batch, model.imageSize, model.imageSize, 3])
  const each = inputs.tokens(0).length / batch / model.text.contextLength
  const texts = tf.tensor3d(inputs.tokens(0), [batch, each, model.text.contextLength], 'int32')
  const captions = tf.reshape(tf.slice(texts, [0, 0, 0], [batch, 1, -1]), [batch, -1])
  const out: Record<string, Tensor> = {}

  const image = encodeImage(params, model, images)
  Object.assign(out, image.record)
  image.assignments.forEach(({ logits, soft, hard }, i) => {
    out[`assign_logits.${i}`] = logits
    out[`soft_attn.${i}`] = soft
    out[`hard_attn.${i}`] = hard
  })
  out.vision_last_hidden = image.segments
  out.vision_pooled = image.pooled
  const text = encodeText(params, model, captions, { whole: true })
  out.text_last_hidden = text.record.last_hidden
  out.text_pooled = encodeText(params, model, captions).pooled // cut to the longest: must not matter
  out.image_embeds_raw = projectImage(params, model, image.pooled, 'eval')
  out.text_embeds_raw = projectText(params, model, out.text_pooled, 'eval')
  const segments = tf.reshape(image.segments, [-1, model.embedDim])
  const projected = projectImage(params, model, segments, 'eval')
  out.image_group_embeds_raw = tf.reshape(projected, [batch, -1, model.projection.dim])
  out.image_embeds = l2Normalize(out.image_embeds_raw)
  out.text_embeds = l2Normalize(out.text_embeds_raw)
  const cosines = tf.matMul(out.image_embeds as tf.Tensor2D, out.text_embeds as tf.Tensor2D, false, true)
  out.logits_per_image = tf.mul(cosines, tf.exp(params.logit_scale))
  out.logits_per_image_clamped = tf.mul(cosines, scaleOf(params, model, names.LOGIT_SCALE))
  out.loss_contrastive = contrastiveLoss(params, model, out.image_embeds, out.text_embeds, loss)
  const free = { ...model, logitScale: { ...model.logitScale, max: Infinity } }
  out.loss_contrastive_hf = contrastiveLoss(params, free, out.image_embeds, out.text_embeds, loss)

  const all = projectText(
    params,
    model,
    encodeText(params, model, tf.reshape(texts, [batch * each, -1])).pooled,
    'eval',
  )
  const grouped = tf.reshape(all, [batch, each, -1])
  if (each > 1) {
    out.text_multi_raw = tf.slice(grouped, [0, 1, 0])
    const nouns = l2Normalize(tf.reshape(out.text_multi_raw, [batch * (each - 1), -1]))
    out.loss_multi_label = multiLabelLoss(params, model, out.image_embeds, nouns, loss, multiLabel)
  }
  out.class_embeds = l2Normalize(tf.mean(grouped, 1))
  out.zero_shot_logits = tf.matMul(out.image_embeds as tf.Tensor2D, out.class_embeds as tf.Tensor2D, false, true)
  const soft = { ...model, assignment: { ...model.assignment, mode: 'soft' as const } }
  out['soft_assign.image_embeds'] = l2Normalize(
    projectImage(params, model, encodeImage(params, soft, images).pooled, 'eval'),
  )
  const maps = image.assignments.map(({ soft }) => soft)
  if (maps.length > 0) out.segmentation_logits_hf = hfSegmentation(out, maps, params, model.imageSize)
  return out
}

/** Segmentation as Hugging Face does it: text × segments @ the soft maps, enlarged, times the scale twice. */
function hfSegmentation(out: Record<string, Tensor>, soft: Tensor[], params: Params, side: number): Tensor {
  const [batch, segments] = out.image_group_embeds_raw.shape as number[]
  const maps = soft.reduce((product, map) => tf.matMul(map, product)) // [B, S, N]
  const grid = Math.round(Math.sqrt(maps.shape[2]!))
  const onGrid = tf.reshape(tf.transpose(maps, [0, 2, 1]), [batch, grid, grid, segments]) as tf.Tensor4D
  const large = tf.image.resizeBilinear(onGrid, [side, side], false, true)
  const embeds = tf.reshape(l2Normalize(out.image_group_embeds_raw), [batch * segments, -1])
  const scale = tf.exp(params.logit_scale)
  const cosines = tf.mul(tf.matMul(embeds as tf.Tensor2D, out.text_embeds as tf.Tensor2D, false, true), scale) // [B·S, T]
  const perImage = tf.unstack(tf.reshape(cosines, [batch, segments, -1]))
  const pixels = tf.unstack(tf.reshape(large, [batch, side * side, segments]))
  const logits = perImage.map((c, i) => tf.transpose(tf.matMul(pixels[i] as tf.Tensor2D, c as tf.Tensor2D)))
  return tf.mul(tf.reshape(tf.stack(logits), [batch, -1, side, side]), scale)
}

describe.each(await presentBackends())('golden forward on %s', (backend) => {
  // cpu, a hundred times slower than the others, on a machine that may be busy
  vi.setConfig({ testTimeout: 300_000 })
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  describe.each(goldenModels())('%s', (name) => {
    const file = `${name}/eval.safetensors`
    it.skipIf(!hasGolden(file))(titleOf('equals the reference in every intermediate and both losses', [file]), () => {
      const golden = goldenModel(name)
      tf.tidy(() => {
        const actual = evaluated(golden, golden.params())
        const expected = goldenTensors(file)
        expect(expected.size).toBeGreaterThan(15)
        const wrong: Record<string, number> = {}
        for (const [tensor, { shape, data }] of expected) {
          expect(actual[tensor], tensor).toBeDefined()
          expect(actual[tensor].shape, tensor).toEqual(shape)
          const error = relativeError(actual[tensor].dataSync(), data)
          if (!(error <= allowed(golden.tolerance, 'eval', tensor, FORWARD))) wrong[tensor] = error
        }
        expect(wrong).toEqual({})
      })
    })
  })
})
