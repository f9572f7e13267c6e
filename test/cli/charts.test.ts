import { expect, test } from 'vitest'
import { lineChart } from '../../lib/cli/line-chart.ts'
import { matrixChart } from '../../lib/cli/matrix-chart.ts'
import { extentOf, logTicksOf, ticksOf } from '../../lib/cli/svg.ts'
import { vegaLiteSpec } from '../../lib/cli/vega-lite.ts'
import { addImage, emptyMatrix, rowsOfMatrix } from '../../lib/eval/confusion-matrix.ts'

const options = { title: 't', xLabel: 'step' }
const paths = (svg: string) => [...svg.matchAll(/<path d="([^"]*)" fill="none" stroke="rgb/g)].map((match) => match[1])

test('a curve is interrupted where a value is not finite', () => {
  const [path] = paths(lineChart([{ name: 'a', x: [0, 1, 2, 3], y: [1, 2, Number.NaN, 4] }], options))
  expect(path.match(/M/g)).toHaveLength(2)
  expect(path.match(/L/g)).toHaveLength(1)
})

test('a logarithmic axis leaves out what is not above zero, and its ticks are round', () => {
  const svg = lineChart([{ name: 'a', x: [0, 1, 2], y: [0, 1, 100] }], { ...options, log: true })
  expect(paths(svg)[0]).toMatch(/^M[\d. ]+L[\d. ]+$/)
  expect([...svg.matchAll(/text-anchor="end"[^>]*>([\d.]+)</g)].map((match) => match[1])).toEqual([
    '1',
    '2',
    '5',
    '10',
    '20',
    '50',
    '100',
  ])
})

test('a band is drawn around its line, and counts for the axis', () => {
  const svg = lineChart([{ name: 'a', x: [0, 1], y: [1, 1], band: { low: [0, 0], high: [2, 2] } }], options)
  expect(svg).toMatch(/Z" fill="rgb\(\d+,\d+,\d+\)" fill-opacity="0.15"/)
  expect(svg).toContain('>2</text>')
})

test('names that do not fit into a row of the legend go to the next', () => {
  const lines = ['one', 'two', 'three', 'four', 'five'].map((name) => ({
    name: `${name} with a long name`,
    x: [0, 1],
    y: [0, 1],
  }))
  const heights = new Set([...lineChart(lines, options).matchAll(/y="(\d+)"[^>]*>\w+ with/g)].map((match) => match[1]))
  expect(heights.size).toBe(2)
})

test('nothing at all, one value and markup in a name are drawn', () => {
  expect(lineChart([{ name: 'a', x: [], y: [] }], options)).toContain('<svg')
  const svg = lineChart([{ name: '<b>&', x: [5], y: [3] }], options)
  expect(svg).toContain('&lt;b&gt;&amp;')
  expect(svg).toContain('<circle')
  expect(svg).not.toContain('NaN')
})

test('ticks are round numbers inside the extent', () => {
  expect(ticksOf({ low: 0.13, high: 0.98 })).toEqual([0.2, 0.4, 0.6000000000000001, 0.8])
  expect(extentOf([])).toEqual({ low: 0, high: 1 })
  expect(extentOf([2, Number.NaN, Infinity])).toEqual({ low: 1.5, high: 2.5 })
  expect(logTicksOf({ low: -3, high: 3 })).toEqual([-3, -2, -1, 0, 1, 2, 3])
})

test('curves as a Vega-Lite specification hold their points, without what cannot be drawn', () => {
  const lines = [
    { name: 'run1 a', x: [0, 1, 2], y: [0, 1, Number.NaN] },
    { name: 'run2 b', x: [0], y: [2] },
  ]
  const spec = vegaLiteSpec(lines, { ...options, log: true }) as {
    data: { values: object[] }
    encoding: { y: { scale: object }; color: { scale: { domain: string[]; range: string[] } } }
  }
  expect(spec.data.values).toEqual([
    { run: 'run1 a', step: 1, value: 1 },
    { run: 'run2 b', step: 0, value: 2 },
  ])
  expect(spec.encoding.y.scale).toEqual({ type: 'log', zero: false })
  expect(spec.encoding.color.scale.domain).toEqual(['run1 a', 'run2 b'])
  expect(new Set(spec.encoding.color.scale.range).size).toBe(2)
  expect((vegaLiteSpec(lines, options) as typeof spec).data.values).toHaveLength(3)
})

test('a matrix counts mask by prediction, and leaves out what is ignored or no class', () => {
  const matrix = emptyMatrix(3)
  addImage(matrix, Uint8Array.of(0, 1, 1, 2, 7, 0), Uint8Array.of(0, 0, 1, 255, 1, 9))
  addImage(matrix, Uint8Array.of(1), Uint8Array.of(0))
  expect(rowsOfMatrix(matrix)).toEqual({
    counts: [
      [1, 2, 0],
      [0, 1, 0],
      [0, 0, 0],
    ],
    shares: [
      [1 / 3, 2 / 3, 0],
      [0, 1, 0],
      [0, 0, 0],
    ],
  })
})

test('cells have numbers while these can be read, and a matrix of 171 classes still fits a page', () => {
  const draw = (classes: number) => {
    const shares = Array.from({ length: classes }, (_, i) =>
      Array.from({ length: classes }, (_, j) => (i === j ? 0.97 : 0)),
    )
    return matrixChart(
      shares,
      shares.map((_, i) => `class ${i}`),
      { title: 't', rows: 'mask', columns: 'predicted' },
    )
  }
  expect(draw(5).match(/>97</g)).toHaveLength(5)
  expect(draw(171)).not.toContain('>97<')
  expect(Number(/height="(\d+)"/.exec(draw(171))![1])).toBeLessThan(1900)
})
