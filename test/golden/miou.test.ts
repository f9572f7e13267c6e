import { expect, test } from 'vitest'
import { countImage, scoresOf, sumCounts } from '../../lib/eval/confusion.ts'
import { titleOf } from './model.ts'
import { goldenJson, goldenTensors, hasGolden } from './set.ts'

type Case = {
  name: string
  num_classes: number
  ignore_index: number
  n_images: number
  per_image: { intersect: number[]; union: number[]; pred: number[]; label: number[] }[]
  IoU: (number | null)[]
  mIoU_unrounded: number
  /** Percent with two digits, as a fraction again. */
  mIoU_as_mmseg_reports: number
}

const FILES = ['miou/miou.json', 'miou/label_maps.safetensors']
const present = FILES.every(hasGolden)
const cases = present ? goldenJson<Case[]>(FILES[0]) : []
const maps = present ? goldenTensors(FILES[1]) : new Map()

test.each(cases)('areas and mIoU of $name are those of mmsegmentation', (golden) => {
  const images = Array.from({ length: golden.n_images }, (_, i) =>
    countImage(
      Uint8Array.from(maps.get(`${golden.name}.pred.${i}`)!.data),
      Uint8Array.from(maps.get(`${golden.name}.gt.${i}`)!.data),
      golden.num_classes,
      golden.ignore_index,
    ),
  )
  for (const [i, counts] of images.entries()) {
    const areas = sumCounts([counts], golden.num_classes)
    expect([...areas.intersect]).toEqual(golden.per_image[i].intersect)
    expect([...areas.pred]).toEqual(golden.per_image[i].pred)
    expect([...areas.label]).toEqual(golden.per_image[i].label)
    expect(Array.from(areas.pred, (p, c) => p + areas.label[c] - areas.intersect[c])).toEqual(golden.per_image[i].union)
  }
  const scores = scoresOf(sumCounts(images, golden.num_classes))
  expect(scores.iou.map((v) => (Number.isNaN(v) ? null : v))).toEqual(golden.IoU)
  expect(scores.mIoU).toBeCloseTo(golden.mIoU_unrounded, 12)
  expect(Math.round(scores.mIoU * 1e4) / 1e4).toBeCloseTo(golden.mIoU_as_mmseg_reports, 12)
})

test.skipIf(!present)(titleOf('there are golden label maps', FILES), () => {
  expect(cases.length).toBeGreaterThan(0)
})
