import { beforeAll, describe, expect, test, vi } from 'vitest'
import { segmentScores } from '../../lib/eval/affinity.ts'
import { classifierOfTokens } from '../../lib/eval/classifier.ts'
import { logitScale } from '../../lib/eval/encode.ts'
import { groupOfPixels, labelPixels, type PixelScores } from '../../lib/eval/maps.ts'
import { segmentPixels } from '../../lib/eval/segmentation.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { presentBackends } from './backends.ts'
import { goldenModel, titleOf } from './model.ts'
import { goldenJson, goldenModels, goldenTensors, hasGolden, relativeError } from './set.ts'

type Case = {
  name: string
  image_hw: [number, number]
  with_bg: boolean
  bg_thresh: number
  mode: 'whole' | 'slide'
  ori_shape: [number, number]
  crop_size?: [number, number]
  stride?: [number, number]
  /** Labels that torch itself gives otherwise in float32. */
  label_pixels_that_differ_float32_vs_float64?: number
}

const filesOf = (name: string) => [`${name}/segmentation.safetensors`, `${name}/segmentation.json`]
const models = goldenModels().filter((name) => filesOf(name).every(hasGolden))

test.skipIf(models.length === 0)(titleOf('there are golden segmentations', filesOf('two_stage')), () => {
  expect(models.length).toBeGreaterThan(0)
})

/** Ten times what torch's float32 differs from its float64 in a tensor of segmentation.safetensors, and at least `least`. */
const allowedIn = (model: string, tensor: string, least: number): number =>
  Math.max(least, 10 * (goldenModel(model).tolerance.segmentation?.[tensor]?.[0] ?? 0))

/** Labels are equal to the pixel, but for as many times ten as torch's float32 has otherwise: none in most sets. */
function expectLabels(actual: Uint8Array, expected: ArrayLike<number>, golden: Case): void {
  const others = 10 * (golden.label_pixels_that_differ_float32_vs_float64 ?? 0)
  expect(actual.length).toBe(expected.length)
  expect(actual.reduce((n, label, i) => n + (label === expected[i] ? 0 : 1), 0)).toBeLessThanOrEqual(others)
}

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
      expect(worst).toBeLessThan(allowedIn(model, `${golden.name}.encode_decode_logits`, 2e-6))
    })

    test('the labels are equal to the pixel', () => {
      const [H, W] = golden.ori_shape
      expectLabels(labelPixels(pixels, H, W), of('pred_label').data, golden)
    })
  })

  const whole = cases.filter(({ mode }) => mode === 'whole')
  test.each(whole)('$name: a map at full size gives the golden groups', (golden) => {
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

/** The side of a window, which gvx and the reference's protocol have square. */
function sideOf([height, width]: [number, number]): number {
  expect(height).toBe(width)
  return height
}

/** [1, 3, H, W] -> [H, W, 3] */
function channelsLast(data: ArrayLike<number>, [, , height, width]: number[]): Float32Array {
  const out = new Float32Array(data.length)
  for (let c = 0; c < 3; c++) for (let i = 0; i < height * width; i++) out[3 * i + c] = data[c * height * width + i]
  return out
}

describe.each(await presentBackends())('on the backend %s', (backend) => {
  // cpu, a hundred times slower than the others, on a machine that may be busy
  vi.setConfig({ testTimeout: 300_000 })
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

    const texts = [`${name}/inputs.safetensors`, `${name}/eval.safetensors`]
    const title = titleOf('class embeddings are the mean over the templates, normalised', texts)
    test.skipIf(!texts.every(hasGolden))(title, async () => {
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
              window: golden.crop_size ? { crop: sideOf(golden.crop_size), stride: sideOf(golden.stride!) } : null,
              plain: null,
            },
          },
          [{ width, height, data: channelsLast(input.data, input.shape) }],
        )
        expect(tf.memory().numTensors).toBe(before)
        const key = `${golden.name}.${golden.mode === 'slide' ? 'slide_logits' : 'encode_decode_logits'}`
        const expected = tensors.get(key)!
        let worst = 0
        for (let c = 0; c < pixels.classes; c++)
          for (let i = 0; i < height * width; i++)
            worst = Math.max(
              worst,
              Math.abs(pixels.scores[pixels.row[i] * pixels.classes + c] - expected.data[c * height * width + i]),
            )
        expect(worst).toBeLessThan(allowedIn(name, key, 1e-4))
        const [H, W] = golden.ori_shape
        expectLabels(labelPixels(pixels, H, W), tensors.get(`${golden.name}.pred_label`)!.data, golden)
      },
    )
  })
})
