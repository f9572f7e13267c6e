import { expect, test } from 'vitest'
import { upsample } from '../../lib/eval/maps.ts'
import { goldenTensors } from './set.ts'

const tensors = goldenTensors('interpolate/interpolate.safetensors')
const cases = [...tensors.keys()].flatMap((name) => {
  const match = /^bilinear\.(\d+)x(\d+)_to_(\d+)x(\d+)\.in$/.exec(name)
  return match ? [{ name, sizes: match.slice(1).map(Number) }] : []
})

test('there are golden attention maps', () => {
  expect(cases.length).toBeGreaterThanOrEqual(3)
})

test.each(cases)('$name is interpolated as by the reference', ({ name, sizes: [h, w, H, W] }) => {
  const input = tensors.get(name)!.data // [1, 1, h·w, G]
  const golden = tensors.get(name.replace(/in$/, 'out'))!.data // [1, 1, H, W, G]
  const groups = input.length / (h * w)
  const data = new Float32Array(input.length)
  for (let n = 0; n < h * w; n++) for (let g = 0; g < groups; g++) data[g * h * w + n] = input[n * groups + g]
  const out = upsample({ data, groups, tokens: h * w }, h, w, H, W) // [G, H, W]
  let worst = 0
  for (let i = 0; i < H * W; i++)
    for (let g = 0; g < groups; g++) worst = Math.max(worst, Math.abs(out[g * H * W + i] - golden[i * groups + g]))
  expect(worst).toBeLessThan(1e-6)
})
