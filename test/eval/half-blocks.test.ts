import { expect, test } from 'vitest'
import { halfBlocks } from '../../lib/eval/half-blocks.ts'

const canvas = (width: number, height: number, pixel: (x: number, y: number) => number[]) => ({
  width,
  height,
  data: Uint8Array.from(
    Array.from({ length: width * height }, (_, i) => pixel(i % width, Math.floor(i / width))).flat(),
  ),
})

/** Width of a line on the screen. */
const shown = (line: string) => line.replaceAll(/\x1b\[[\d;]*m/g, '').length

test('a character is two pixels, the upper one in front', () => {
  const [line] = halfBlocks(
    canvas(1, 2, (_, y) => (y === 0 ? [255, 0, 0] : [0, 0, 255])),
    10,
    10,
    'true',
  )
  expect(line).toBe('\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m')
})

test('a large picture fits into the columns and lines it may have, and keeps its ratio', () => {
  const picture = canvas(200, 100, (x) => [x, x, x])
  for (const depth of ['true', '256', 'none'] as const) {
    const lines = halfBlocks(picture, 60, 24, depth)
    expect(lines).toHaveLength(15)
    for (const line of lines) expect(shown(line)).toBe(60)
  }
  expect(halfBlocks(picture, 200, 10, 'true')).toHaveLength(10)
})

test('without colours there is not one escape, and light is told from dark', () => {
  const [line] = halfBlocks(
    canvas(2, 2, (x) => (x === 0 ? [0, 0, 0] : [255, 255, 255])),
    10,
    10,
    'none',
  )
  expect(line).toBe(' @')
})

test('equal neighbours share one escape', () => {
  const [line] = halfBlocks(
    canvas(30, 2, () => [10, 20, 30]),
    30,
    1,
    '256',
  )
  expect(line.match(/38;5/g)).toHaveLength(1)
})
