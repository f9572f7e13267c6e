import { beforeAll, describe, expect, test } from 'vitest'
import { segmentScores } from '../../lib/eval/affinity.ts'
import { classifierOfTokens } from '../../lib/eval/classifier.ts'
import { logitScale } from '../../lib/eval/encode.ts'
import { groupOfPixels, labelPixels, type PixelScores } from '../../lib/eval/maps.ts'
import { segmentPixels } from '../../lib/eval/segmentation.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { presentBackends } from './backends.ts'
import { goldenModel } from './model.ts'
import { goldenJson, goldenTensors, hasGolden, relativeError } from './set.ts'

type Case = {
  name: string
  image_hw: [number, number]
  with_bg: boolean
  bg_thresh: number
  mode: 'whole' | 'slide'
  ori_shape: [number, number]
  crop_size?: [number, number]
  stride?: [number, number]
}

const models = ['two_stage', 'one_stage'].filter((name) => hasGolden(`${name}/segmentation.safetensors`))

test('there are golden segmentations', () => {
  expect(models).toContain('two_stage')
})

describe.each(models)('%s', (model) => {
  const tensors = goldenTensors(`${model}/segmentation.safetensors`)
  const cases = goldenJson<Case[]>(`${model}/segmentation.json`)

  describe.each(cases.filter((golden) => golden.mode === 'whole'))('$name, from the attention map on', (golden) => {
    const of = (key: string) => tensors.get(`${golden.name}.${key}`)!
    const [height, width] = golden.image_hw
    const logits = Float64Array.from(of('group_affinity_logits').data)
    const image = Float64Array.from(of('image_class_prob').data, Math.log)
    const { scores, classes } = segmentScores(logits, image, {
      topK: 5,
      imagePrior: true,
      background: golden.with_bg,
      backgroundThreshold: golden.bg_thresh,
    })
    const row = Int32Array.from(of('group_label').data)
    const pixels: PixelScores = { width, height, row, scores, classes }

    test('the pixel scores agree', () => {
      const expected = of('encode_decode_logits').data // [C, H, W]
      let worst = 0
      for (let c = 0; c < classes; c++)
        for (let i = 0; i < row.length; i++)
          worst = Math.max(worst, Math.abs(scores[row[i] * classes + c] - expected[c * row.length + i]))
      expect(worst).toBeLessThan(2e-6)
    })

    test('the labels are equal to the pixel', () => {
      const [H, W] = golden.ori_shape
      expect(labelPixels(pixels, H, W)).toEqual(Uint8Array.from(of('pred_label').data))
    })
  })

  test('a map at full size gives the golden groups', () => {
    const golden = cases[0]
    const name = [...tensors.keys()].find((key) => key.startsWith(`${golden.name}.attn_map.`))!
    const { data, shape } = tensors.get(name)!
    const [height, width, groups] = shape
    const map = new Float32Array(data.length)
    for (let i = 0; i < height * width; i++)
      for (let g = 0; g < groups; g++) map[g * height * width + i] = data[i * groups + g]
    const label = groupOfPixels({ data: map, groups, tokens: height * width }, height, width, height, width)
    expect(label).toEqual(Int32Array.from(tensors.get(`${golden.name}.group_label`)!.data))
  })
})

/** [1, 3, H, W] -> [H, W, 3] */
function channelsLast(data: ArrayLike<number>, [, , height, width]: number[]): Float32Array {
  const out = new Float32Array(data.length)
  for (let c = 0; c < 3; c++) for (let i = 0; i < height * width; i++) out[3 * i + c] = data[c * height * width + i]
  return out
}

describe.each(await presentBackends())('on the backend %s', (backend) => {
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  describe.each(models)('%s, from the image on', (name) => {
    const { model } = goldenModel(name).config
    const tensors = goldenTensors(`${name}/segmentation.safetensors`)
    const text = tensors.get('text_embedding')!
    let params: Params = {}
    let scale = 0
    beforeAll(async () => {
      const weights = goldenTensors(`${name}/weights.safetensors`)
      params = Object.fromEntries([...weights].map(([key, { data, shape }]) => [key, tf.tensor(data, shape)]))
      scale = await logitScale(params, model)
      return () => {
        for (const tensor of Object.values(params)) tensor.dispose()
      }
    })

    test('class embeddings are the mean over the templates, normalised', async () => {
      const ids = goldenTensors(`${name}/inputs.safetensors`).get('input_ids')! // [5, B, 1 + K, L]
      const [, batch, templates, length] = ids.shape
      const first = Int32Array.from(ids.data.subarray(0, batch * templates * length))
      const { data } = await classifierOfTokens(params, model, first, templates)
      const expected = goldenTensors(`${name}/eval.safetensors`).get('class_embeds')!
      expect(relativeError(data, expected.data)).toBeLessThan(1e-5)
    })

    test.each(goldenJson<Case[]>(`${name}/segmentation.json`))(
      '$name: labels are equal to the pixel',
      async (golden) => {
        const input = tensors.get(`${golden.name}.pixel_values`)!
        const [height, width] = golden.image_hw
        const before = tf.memory().numTensors
        const [{ pixels }] = await segmentPixels(
          {
            params,
            model,
            classifier: { data: text.data, dim: text.shape[1] },
            scale,
            options: {
              topK: 5,
              imagePrior: true,
              background: golden.with_bg,
              backgroundThreshold: golden.bg_thresh,
              window: golden.crop_size ? { crop: golden.crop_size[0], stride: golden.stride![0] } : null,
              plain: null,
            },
          },
          [{ width, height, data: channelsLast(input.data, input.shape) }],
        )
        expect(tf.memory().numTensors).toBe(before)
        const expected = tensors.get(
          `${golden.name}.${golden.mode === 'slide' ? 'slide_logits' : 'encode_decode_logits'}`,
        )!
        let worst = 0
        for (let c = 0; c < pixels.classes; c++)
          for (let i = 0; i < height * width; i++)
            worst = Math.max(
              worst,
              Math.abs(pixels.scores[pixels.row[i] * pixels.classes + c] - expected.data[c * height * width + i]),
            )
        expect(worst).toBeLessThan(1e-4)
        const [H, W] = golden.ori_shape
        expect(labelPixels(pixels, H, W)).toEqual(Uint8Array.from(tensors.get(`${golden.name}.pred_label`)!.data))
      },
    )
  })
})
