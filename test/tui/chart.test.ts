import { describe, expect, test } from 'vitest'
import { type ChartOptions, type ChartPoint, chartLines, smooth } from '../../lib/tui/chart.ts'
import { lineWidth, plainText } from '../../lib/tui/lines.ts'

const draw = (points: readonly ChartPoint[], options: Partial<ChartOptions> = {}): string => {
  const lines = chartLines([{ name: 'a', tone: 'series0', points }], { width: 40, height: 8, ...options })
  for (const line of lines) expect(lineWidth(line)).toBe(options.width ?? 40)
  return `\n${lines.map(plainText).join('\n')}\n`
}
const curve = (n: number, f: (x: number) => number): ChartPoint[] =>
  Array.from({ length: n }, (_, x) => ({ x, y: f(x) }))

describe('a chart', () => {
  test('draws a line from the lower left to the upper right', () => {
    expect(draw(curve(11, (x) => x))).toMatchSnapshot()
  })
  test('leaves a gap where the values are not numbers', () => {
    expect(draw(curve(60, (x) => (x > 20 && x < 40 ? Number.NaN : Math.sin(x / 6))))).toMatchSnapshot()
  })
  test('makes a straight line of a decay when the y-axis is logarithmic', () => {
    expect(
      draw(
        curve(60, (x) => 10 ** (-x / 20)),
        { logY: true },
      ),
    ).toMatchSnapshot()
  })
  test('shows the part of the x-axis that is asked for, and a cursor', () => {
    expect(
      draw(
        curve(100, (x) => x % 30),
        { window: [50, 99], cursor: 70 },
      ),
    ).toMatchSnapshot()
  })
  test('shows the spike that a bucket hides', () => {
    const points = curve(30, () => 1).map((p) => (p.x === 15 ? { ...p, low: 1, high: 9 } : p))
    expect(draw(points)).toMatchSnapshot()
  })
  test('of nothing, of one point and of equal points is a chart all the same', () => {
    expect(draw([])).toContain('nothing yet')
    expect(draw([{ x: 5, y: Number.NaN }])).toContain('nothing yet')
    expect(draw([{ x: 5, y: 3 }])).toMatchSnapshot()
    expect(draw(curve(9, () => 0))).toMatchSnapshot()
  })
  test('drawn with dashes has fewer dots than drawn whole', () => {
    const dots = (dash: number) => {
      const lines = chartLines([{ name: 'a', tone: 'plain', points: curve(20, (x) => x), dash }], {
        width: 40,
        height: 8,
      })
      return lines
        .map(plainText)
        .join('')
        .replace(/[^\u2801-\u28ff]/g, '').length
    }
    expect(dots(2)).toBeGreaterThan(0)
    expect(dots(2)).toBeLessThan(dots(0))
  })
})

test('smoothing starts at the first value, follows a constant exactly and goes on behind a gap', () => {
  expect(
    smooth(
      curve(5, () => 3),
      0.9,
    ).map((p) => p.y),
  ).toEqual([3, 3, 3, 3, 3].map((y) => expect.closeTo(y, 12)))
  const [a, gap, b] = smooth(
    [
      { x: 0, y: 1 },
      { x: 1, y: Number.NaN },
      { x: 2, y: 3 },
    ],
    0.5,
  )
  expect([a.y, gap.y]).toEqual([1, Number.NaN])
  expect(b.y).toBeCloseTo((0.25 * 1 + 0.5 * 3) / 0.75)
})
