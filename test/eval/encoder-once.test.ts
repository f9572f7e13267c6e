import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { evaluateSegmentation } from '../../lib/eval/evaluate.ts'
import { drawPicture } from '../../lib/eval/picture.ts'
import { pictureOf, segmentSamples } from '../../lib/eval/samples.ts'
import { openSegmenter } from '../../lib/eval/segmenter.ts'
import { initParams } from '../../lib/model/index.ts'
import { PATCHES } from '../../lib/model/names.ts'
import { openBackend, type Params } from '../../lib/tensor/index.ts'
import { config as oneStage, smallSet } from './small.ts'

/** Segments, scores, oracle, boundary and pictures of all stages come from one record: the encoder runs once a view. */

const config = configSchema.parse({
  ...oneStage,
  model: { ...oneStage.model, stages: 2, depth: 3, depths: 'auto', numGroupTokens: 'auto', numOutputGroups: 'auto' },
  eval: { ...oneStage.eval, mode: 'whole' },
})
const dir = mkdtempSync(join(tmpdir(), 'gvx-encoder-'))
afterAll(() => rmSync(dir, { recursive: true }))

/** Parameters that count how often the encoder has asked for its first layer. */
function counted(params: Params): { params: Params; runs: () => number } {
  let runs = 0
  const spied = new Proxy(params, {
    get(target, name) {
      if (name === `${PATCHES}.weight`) runs++
      return target[name as string]
    },
  })
  return { params: spied, runs: () => runs }
}

let weights: Params = {}
beforeAll(async () => {
  await openBackend({ backend: 'wasm', threads: 1 })
  weights = initParams(config.model, 1)
})

test('an evaluation encodes each image once for all of its numbers', async () => {
  const { params, runs } = counted(weights)
  const set = smallSet(5, true)
  const result = await evaluateSegmentation({ params, config, set, purpose: 'final', limit: 0 })
  for (const name of ['mIoU', 'boundaryIoU', 'oracleIoU', 'mIoUNamed', 'bestOverlap'])
    expect(result.values, name).toHaveProperty(name)
  expect(runs()).toBeGreaterThan(0)
  // images of one size go together: there are at most as many runs as images
  expect(runs()).toBeLessThanOrEqual(5)
})

test('an evaluation in windows encodes each window once', async () => {
  const { params, runs } = counted(weights)
  const slide = configSchema.parse({ ...config, eval: { ...config.eval, mode: 'slide', cropSize: 32, stride: 16 } })
  const one = smallSet(1, true)
  await evaluateSegmentation({ params, config: slide, set: one, purpose: 'final', limit: 0 })
  expect(runs()).toBe(1) // all windows of an image in one batch
})

test('a picture of an image, with the groups of both stages and the labels, takes one run', async () => {
  const { params, runs } = counted(weights)
  const set = smallSet(1, true)
  const segmenter = await openSegmenter(params, config, set.classNames, true)
  const { image } = await set.read(0)
  const picture = await pictureOf(segmenter, segmenter.options.shortSide, image, set.classNames)
  expect(picture.stages).toHaveLength(2)
  expect(drawPicture(picture).width).toBeGreaterThan(0)
  expect(runs()).toBe(1)
})

test('sample pictures take one run each', async () => {
  const { params, runs } = counted(weights)
  await segmentSamples({ params, config, set: smallSet(6, true), dir, count: 3 })
  expect(readdirSync(dir)).toHaveLength(3)
  expect(runs()).toBe(3)
})
