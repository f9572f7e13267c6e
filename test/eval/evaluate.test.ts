import { appendFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import type { SegmentationSet } from '../../lib/data/segmentation-set.ts'
import { evaluateSegmentation, spread } from '../../lib/eval/evaluate.ts'
import { openJournal } from '../../lib/eval/journal.ts'
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
  for (const name of ['mIoU', 'aAcc', 'mAcc', 'mIoUThings', 'boundaryIoU', 'oracleIoU', 'mIoUNamed', 'bestOverlap'])
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

test('an interrupted evaluation goes on at the image where it stopped and comes to the same numbers', async () => {
  const whole = await evaluate(smallSet(9, true))
  const file = join(mkdtempSync(join(tmpdir(), 'gvx-journal-')), 'evals/partial.jsonl')
  onTestFinished(() => rmSync(dirname(dirname(file)), { recursive: true }))
  const read: string[] = []
  const set = smallSet(9, true)
  const counted = (from: SegmentationSet): SegmentationSet => ({
    ...from,
    read: async (index) => {
      read.push(from.ids[index])
      return from.read(index)
    },
  })
  // the labels of the sixth image cannot be written, as on a disk that is full
  const first = openJournal(file, 'protocol a')
  const broken = evaluate(set, {
    journal: first,
    onLabels: (id) => {
      if (id === 'image5') throw new Error('the disk is full')
    },
  })
  await expect(broken).rejects.toThrow('the disk is full')
  first.close(false)
  appendFileSync(file, '{"id":"image5","counts":[[0,') // torn

  const second = openJournal(file, 'protocol a')
  expect([...second.known.keys()]).toEqual(['image0', 'image1', 'image2', 'image3', 'image4'])
  expect(second.seconds).toBeGreaterThan(0)
  const result = await evaluate(counted(set), { journal: second })
  expect(read).toEqual(['image5', 'image6', 'image7', 'image8'])
  const { seconds: _, ...numbers } = result
  const { seconds: __, ...expected } = whole
  expect(numbers).toEqual(expected)
  second.close(true)
  expect(existsSync(file)).toBe(false)

  openJournal(file, 'protocol a').close(false)
  writeFileSync(file, 'protocol a\n{"id":"image0"\n')
  expect(openJournal(file, 'protocol a').known.size).toBe(0)
  writeFileSync(file, 'protocol b\n{"id":"image0","s":1}\n')
  expect(openJournal(file, 'protocol a').known.size).toBe(0)
})

test('a thread of its own changes no number, and what goes wrong in it is told', { timeout: 180_000 }, async () => {
  const labels = new Map<string, Uint8Array>()
  const onLabels = (id: string, image: Uint8Array) => void labels.set(id, image)
  const inline = await evaluate(smallSet(7, true), { thread: false, onLabels })
  const before = new Map(labels)
  const threaded = await evaluate(smallSet(7, true), { thread: true, onLabels })
  expect({ ...threaded, seconds: 0 }).toEqual({ ...inline, seconds: 0 })
  expect(labels).toEqual(before)
  const set = smallSet(3, true)
  const broken = async (index: number) => {
    const sample = await set.read(index)
    return { ...sample, mask: { ...sample.mask, data: sample.mask.data.subarray(1) } }
  }
  await expect(evaluate({ ...set, read: broken }, { thread: true })).rejects.toThrow(/predicted pixels for a mask of/)
})

test('with the classes that a caption names no other class is predicted', async () => {
  const set = smallSet(6, true)
  const ofOne: SegmentationSet = {
    ...set,
    read: async (index) => {
      const { mask, ...rest } = await set.read(index)
      return { ...rest, mask: { ...mask, data: mask.data.map((v) => (v === 255 ? 255 : 2)) } }
    },
  }
  // a threshold of zero leaves no background: the only named class is everywhere
  const sure = configSchema.parse({ ...config, eval: { ...config.eval, backgroundThreshold: 0 } })
  const { values, baselines } = await evaluate(ofOne, { config: sure })
  expect(values.mIoUNamed).toBe(1)
  expect(baselines.captionOracle).toBe(1)
  expect(values.mIoU).toBeLessThan(1)
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
