import { afterAll, beforeAll, expect, test } from 'vitest'
import { evaluateSegmentation } from '../../lib/eval/evaluate.ts'
import { sweepThreshold } from '../../lib/eval/threshold.ts'
import { initParams } from '../../lib/model/index.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { config, smallSet } from './small.ts'

let params: Params = {}
beforeAll(async () => {
  await openBackend({ backend: 'wasm', threads: 1 })
  params = initParams(config.model, 1)
})
afterAll(() => {
  tf.dispose(params)
})

test('the sweep says for each threshold what an evaluation with it says, and chooses the best', async () => {
  const set = smallSet(5, true)
  const slide = { ...config, eval: { ...config.eval, cropSize: 48, stride: 24 } }
  const { best, curve, images } = await sweepThreshold({ params, config: slide, set, limit: 0 })
  expect(images).toBe(5)
  for (const { threshold, mIoU } of [curve[1], curve[8], curve.at(-1)!]) {
    const own = { ...slide, eval: { ...slide.eval, backgroundThreshold: threshold } }
    const result = await evaluateSegmentation({ params, config: own, set, purpose: 'final', limit: 0 })
    expect(result.values.mIoU).toBe(mIoU)
  }
  const highest = Math.max(...curve.map(({ mIoU }) => mIoU))
  expect(curve.find(({ threshold }) => threshold === best)!.mIoU).toBe(highest)
  expect(new Set(curve.map(({ mIoU }) => mIoU)).size).toBeGreaterThan(1)
})

test('a set without background has no threshold to choose', async () => {
  await expect(sweepThreshold({ params, config, set: smallSet(2, false), limit: 0 })).rejects.toThrow(/no background/)
})
