import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { encodeMaskPng } from '../../lib/data/png.ts'
import type { SegmentationSet } from '../../lib/data/segmentation-set.ts'
import { scorePredictions } from '../../lib/eval/predictions.ts'

const root = mkdtempSync(join(tmpdir(), 'gvx-predictions-'))
afterAll(() => rmSync(root, { recursive: true }))

const mask = { width: 4, height: 2, data: Uint8Array.of(0, 0, 1, 255, 0, 0, 1, 255) }
const set: SegmentationSet = {
  name: 'small',
  split: 'val',
  classNames: ['background', 'cat', 'dog'],
  background: true,
  things: null,
  ignoreIndex: 255,
  fingerprint: '',
  ids: ['a', 'b'],
  read: async (i) => ({ id: set.ids[i], image: { width: 4, height: 2, data: new Uint8Array(24) }, mask }),
}

function predictions(name: string, files: Record<string, { data: number[]; width: number; height: number }>): string {
  const dir = mkdtempSync(join(root, name))
  for (const [id, { data, width, height }] of Object.entries(files))
    writeFileSync(join(dir, `${id}.png`), encodeMaskPng(Uint8Array.from(data), width, height))
  return dir
}

const right = { data: [0, 0, 1, 1, 0, 0, 1, 1], width: 4, height: 2 }

test('palette PNGs are scored against the masks, unrounded', async () => {
  const wrong = { data: [0, 1, 1, 2, 0, 1, 1, 2], width: 4, height: 2 }
  const scores = await scorePredictions(predictions('both', { a: right, b: wrong }), set)
  expect(scores.images).toBe(2)
  expect(scores.iou).toEqual([6 / 8, 4 / 6, Number.NaN])
  expect(scores.mIoU).toBe((6 / 8 + 4 / 6) / 2)
  expect(scores.aAcc).toBe(10 / 12)
  expect(scores.boundary[0]).toBeGreaterThan(0)
})

test('missing predictions are an error unless a part is asked for', async () => {
  const dir = predictions('part', { a: right })
  await expect(scorePredictions(dir, set)).rejects.toThrow(/1 of 2 predictions are missing .* b\.png/)
  await expect(scorePredictions(dir, set, { partial: true })).resolves.toMatchObject({ images: 1, mIoU: 1 })
  await expect(scorePredictions(join(root, 'nowhere'), set)).rejects.toThrow(/is not there/)
})

test('a prediction of another size, or one that is no mask, is named', async () => {
  const small = { data: [0, 0], width: 2, height: 1 }
  await expect(scorePredictions(predictions('small', { a: small, b: right }), set)).rejects.toThrow(
    /prediction of a is 2×1, its mask 4×2/,
  )
  const broken = predictions('broken', { b: right })
  writeFileSync(join(broken, 'a.png'), 'nonsense')
  await expect(scorePredictions(broken, set)).rejects.toThrow(/a\.png is not a PNG/)
})
