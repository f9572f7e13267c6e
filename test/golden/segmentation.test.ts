import { describe, expect, test } from 'vitest'
import { segmentScores } from '../../lib/eval/affinity.ts'
import { groupOfPixels, labelPixels, type PixelScores } from '../../lib/eval/maps.ts'
import { goldenJson, goldenTensors, hasGolden } from './numbers.ts'

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
      expect(labelPixels(pixels, H, W)).toEqual(of('pred_label').data)
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
