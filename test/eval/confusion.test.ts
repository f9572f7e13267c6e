import { expect, test } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import {
  type ClassCount,
  countImage,
  nanMean,
  scoresOf,
  sumCounts,
  trivialBaselines,
} from '../../lib/eval/confusion.ts'

test('ignored pixels count nowhere, foreign ground truth counts as predicted area only', () => {
  const counts = countImage(Uint8Array.of(0, 1, 1, 2), Uint8Array.of(0, 1, 7, 255), 3)
  expect(counts).toEqual([
    [0, 1, 1, 1],
    [1, 1, 2, 1],
  ])
})

test('a class in neither masks nor predictions is left out of the mean', () => {
  const scores = scoresOf(sumCounts([countImage(Uint8Array.of(0, 0, 1, 1), Uint8Array.of(0, 1, 1, 1), 3)], 3))
  expect(scores.iou[2]).toBeNaN()
  expect(scores.mIoU).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12)
  expect(scores.aAcc).toBe(3 / 4)
  expect(scores.mAcc).toBeCloseTo((1 + 2 / 3) / 2, 12)
})

test('maps of different sizes are an error', () => {
  expect(() => countImage(new Uint8Array(3), new Uint8Array(4), 2)).toThrow(/3 predicted pixels for a mask of 4/)
})

test('the mean of nothing is NaN', () => {
  expect(nanMean([Number.NaN])).toBeNaN()
})

test('chance is what random labels score, majority what one class everywhere scores', () => {
  const classes = 4
  const mask = Uint8Array.from({ length: 40_000 }, (_, i) => (i % 10 < 7 ? 0 : i % 10 < 9 ? 1 : 2))
  const { chance, majority, captionOracle } = trivialBaselines([countImage(mask, mask, classes)], classes)
  const random = Uint8Array.from(mask, (_, i) => Math.floor(((i * 0.6180339887) % 1) * classes))
  expect(chance).toBeCloseTo(scoresOf(sumCounts([countImage(random, mask, classes)], classes)).mIoU, 2)
  const zeros = new Uint8Array(mask.length)
  expect(majority).toBeCloseTo(scoresOf(sumCounts([countImage(zeros, mask, classes)], classes)).mIoU, 12)
  const named = Uint8Array.from(mask, (_, i) => Math.floor(((i * 0.6180339887) % 1) * 3))
  expect(captionOracle).toBeCloseTo(scoresOf(sumCounts([countImage(named, mask, classes)], classes)).mIoU, 2)
})

test('whoever knows the captions has images of one class right', () => {
  const masks = [0, 1, 2].map((c) => new Uint8Array(10 * (c + 1)).fill(c))
  const images = masks.map((mask) => countImage(mask, mask, 3))
  expect(trivialBaselines(images, 3)).toMatchObject({ captionOracle: 1, majority: 0.5 / 3 })
})

test('runs of pixels count like pixel after pixel', () => {
  const stream = randomStream(2, 'runs')
  const classes = 5
  for (let round = 0; round < 20; round++) {
    const draw = () => Uint8Array.from({ length: 400 }, () => [0, 0, 0, 0, 1, 3, 6, 255][stream.int(8)])
    const [pred, mask] = [draw(), draw()]
    const expected = Array.from({ length: classes }, (_, c): ClassCount => {
      const pixels = Array.from(mask.keys()).filter((i) => mask[i] !== 255)
      const area = (has: (i: number) => boolean) => pixels.filter(has).length
      return [c, area((i) => pred[i] === c && mask[i] === c), area((i) => pred[i] === c), area((i) => mask[i] === c)]
    })
    expect(countImage(pred, mask, classes)).toEqual(expected.filter(([, , predicted, label]) => predicted + label > 0))
  }
})
