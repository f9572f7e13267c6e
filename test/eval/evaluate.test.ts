import { afterAll, beforeAll, expect, test } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import type { SegmentationSet } from '../../lib/data/segmentation-set.ts'
import { evaluateSegmentation, spread } from '../../lib/eval/evaluate.ts'
import { resizedSize, resolveOptions } from '../../lib/eval/protocol.ts'
import { initParams } from '../../lib/model/index.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { config, smallSet } from './small.ts'

let params: Params = {}
beforeAll(async () => {
  await openBackend({ backend: 'wasm', threads: 1 })
  params = initParams(config.model, 1)
})
afterAll(() => {
  for (const tensor of Object.values(params)) tensor.dispose()
})

const evaluate = (set: SegmentationSet, rest: Partial<Parameters<typeof evaluateSegmentation>[0]> = {}) =>
  evaluateSegmentation({ params, config, set, purpose: 'final', limit: 0, ...rest })

test('every pixel that counts is counted once, and nothing is left in memory', async () => {
  const set = smallSet(7, true)
  await evaluate(set)
  const before = tf.memory().numTensors
  const result = await evaluate(set)
  expect(tf.memory().numTensors).toBe(before)
  expect(result.images).toBe(7)
  for (const [i, { id, counts }] of result.perImage.entries()) {
    const { mask } = await set.read(i)
    expect(id).toBe(set.ids[i])
    const counted = mask.data.length - mask.width
    expect(counts.reduce((sum, [, , , label]) => sum + label, 0)).toBe(counted)
    expect(counts.reduce((sum, [, , pred]) => sum + pred, 0)).toBe(counted)
  }
  expect(result.iou).toHaveLength(4)
  for (const name of ['mIoU', 'aAcc', 'mAcc', 'mIoUThings', 'boundaryIoU', 'oracleIoU', 'bestOverlap'])
    expect(result.values[name]).toSatisfy((value: number) => value >= 0 && value <= 1)
  expect(result.values.oracleIoU).toBeGreaterThanOrEqual(result.values.mIoU)
  expect(result.baselines.chance).toBeGreaterThan(0)
  expect(result.baselines.majority).toBeGreaterThan(0)
})

test('the numbers do not depend on which images share a batch', async () => {
  const all = await evaluate(smallSet(6, false))
  const one = smallSet(6, false)
  for (const [i, id] of one.ids.entries()) {
    const alone = await evaluate({ ...one, ids: [id], read: () => one.read(i) })
    expect(alone.perImage[0]).toEqual(all.perImage[i])
  }
})

test('a limit takes images evenly from the list and stands in the protocol', async () => {
  const result = await evaluate(smallSet(9, false), { limit: 3 })
  expect(result.perImage.map(({ id }) => id)).toEqual(['image0', 'image3', 'image6'])
  expect(result.protocol).toMatchObject({ images: 3, set: 'small', fingerprint: 'abc', backgroundThreshold: null })
  expect(spread(5, 0)).toEqual([0, 1, 2, 3, 4])
})

test('progress reaches the number of images, and an abort ends it', async () => {
  const seen: number[][] = []
  await evaluate(smallSet(5, false), { onProgress: (done, total) => seen.push([done, total]) })
  expect(seen.at(-1)).toEqual([5, 5])
  const stop = AbortSignal.abort(new Error('enough'))
  await expect(evaluate(smallSet(5, false), { signal: stop })).rejects.toThrow('enough')
})

test('a resize keeps the ratio and stays within the long limit', () => {
  expect(resizedSize(500, 375, 448)).toEqual({ width: 597, height: 448 })
  expect(resizedSize(375, 500, 448)).toEqual({ width: 448, height: 597 })
  expect(resizedSize(1000, 100, 448)).toEqual({ width: 2048, height: 205 })
})

test('auto is the protocol of the reference at the size of the paper', () => {
  const paper = configSchema.parse({})
  expect(resolveOptions(paper, true)).toEqual({
    shortSide: 448,
    window: { crop: 448, stride: 224 },
    topK: 5,
    imagePrior: true,
    background: true,
    backgroundThreshold: 0.95,
    plain: null,
  })
})

test.each(['patches', 'kmeans', 'mean-shift', 'spectral'] as const)(
  'a plain ViT is evaluated with %s as its segments',
  async (plainSegments) => {
    const {
      groupTokens: _,
      segments: __,
      depths: ___,
      numGroupTokens: ____,
      numOutputGroups: _____,
      ...model
    } = config.model
    const plain = configSchema.parse({
      ...config,
      model: { ...model, stages: 0 },
      eval: { ...config.eval, plainSegments, clusters: 3 },
    })
    const weights = initParams(plain.model, 1)
    const before = tf.memory().numTensors
    const result = await evaluate(smallSet(3, false), { config: plain, params: weights })
    expect(tf.memory().numTensors).toBe(before)
    tf.dispose(weights)
    expect(result.protocol).toEqual((await evaluate(smallSet(3, false))).protocol)
    expect(result.values.mIoU).toBeGreaterThanOrEqual(0)
    expect(result.values.oracleIoU).toBeGreaterThan(result.values.mIoU)
  },
)
