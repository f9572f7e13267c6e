import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { chartSvg, writeChart } from '../../lib/cli/chart-file.ts'
import { type CurveOptions, curveStyle, curvesSpec, type Line, matrixSpec } from '../../lib/cli/vega-lite.ts'
import { decodeImage } from '../../lib/data/image.ts'
import { addImage, emptyMatrix, rowsOfMatrix } from '../../lib/eval/confusion-matrix.ts'
import { emptyHome } from '../store/home.ts'

// what Vega-Lite does not understand it warns of and leaves out
const warn = vi.spyOn(console, 'warn')
beforeEach(() => void warn.mockClear())
afterEach(() => expect(warn.mock.calls).toEqual([]))

const draw = (lines: readonly Line[], options: Partial<CurveOptions> = {}) =>
  chartSvg(curvesSpec(lines, { title: 't', width: 600, height: 300, ...options }))

type Attributes = Record<string, string>
/** The attributes of the elements of one mark, in the order of drawing. */
function marks(svg: string, kind: string, role = 'role-mark', element = 'path'): Attributes[] {
  const groups = [...svg.matchAll(new RegExp(`<g class="mark-${kind} ${role}[^>]*>(.*?)</g>`, 'gs'))]
  return groups.flatMap(([, inner]) =>
    [...inner.matchAll(new RegExp(`<${element} ([^>]*)>`, 'g'))].map(([, text]) =>
      Object.fromEntries([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
    ),
  )
}
const texts = (svg: string, role: string): string[] =>
  [...svg.matchAll(new RegExp(`<g class="mark-text ${role}"[^>]*>(.*?)</g>`, 'gs'))].flatMap(([, inner]) =>
    [...inner.matchAll(/>([^<]+)<\/text>/g)].map(([, text]) => text),
  )

describe('curves', () => {
  test('points lie where their values say', async () => {
    const svg = await draw([{ name: 'a', x: [0, 30, 60], y: [0, 0.25, 1] }])
    expect(marks(svg, 'line').map(({ d }) => d)).toEqual(['M0,300L300,225L600,0'])
    expect(texts(svg, 'role-axis-label')).toEqual(expect.arrayContaining(['0', '60', '0.2', '1']))
    expect(texts(svg, 'role-axis-title')).toEqual(['step'])
    expect(texts(svg, 'role-title-text')).toEqual(['t'])
  })

  test('values beside the axis are written out', async () => {
    const labels = texts(await draw([{ name: 'a', x: [0, 1], y: [150, 650] }]), 'role-axis-label')
    expect(labels).toEqual(expect.arrayContaining(['200', '600']))
  })

  test('a curve is interrupted where a value is not finite, and a point between two gaps is a dot', async () => {
    const y = [0, 1, Number.NaN, 0.5, Number.POSITIVE_INFINITY, 0, 1]
    const svg = await draw([{ name: 'a', x: [0, 1, 2, 3, 4, 5, 6], y }])
    const [{ d }] = marks(svg, 'line')
    expect(d).toBe('M0,300L100,0M300,150ZM500,300L600,0')
    expect(marks(svg, 'symbol').map(({ transform, fill }) => [transform, fill])).toEqual([
      ['translate(300,150)', curveStyle(0).colour],
    ])
    expect(svg).not.toContain('NaN')
  })

  test('on a logarithmic axis decades are equally far apart, and what is not above zero is left out', async () => {
    const svg = await draw([{ name: 'a', x: [0, 1, 2, 3, 4], y: [0, 1, 10, 100, -1] }], { log: true })
    const [, first, second, third] = /^M(\S+),300L(\S+),150L(\S+),0$/.exec(marks(svg, 'line')[0].d)!.map(Number)
    expect(second - first).toBeCloseTo(third - second, 6)
    expect(texts(svg, 'role-axis-label')).toEqual(expect.arrayContaining(['1', '10', '100']))
  })

  test('a band is drawn around its line, and counts for the axis', async () => {
    const svg = await draw([{ name: 'a', x: [0, 1], y: [1, 1], band: { low: [0, 0], high: [2, 2] } }])
    expect(marks(svg, 'area')).toMatchObject([{ d: 'M0,300L600,300L600,0L0,0Z', opacity: '0.15' }])
    expect(marks(svg, 'line')[0].d).toBe('M0,150L600,150')
  })

  test('each curve has a colour and dashes of its own, on the curve and in the legend', async () => {
    const lines = ['one', 'two', 'three', 'four', 'five'].map((name, i) => ({ name, x: [0, 1], y: [i, i + 1] }))
    const svg = await draw(lines)
    const style = (mark: Attributes) => `${mark.stroke} ${mark['stroke-dasharray']}`
    const curves = marks(svg, 'line').map(style)
    expect(curves).toEqual(lines.map((_, i) => `${curveStyle(i).colour} ${curveStyle(i).dash.join(',')}`))
    expect(new Set(marks(svg, 'line').map(({ stroke }) => stroke)).size).toBe(5)
    expect(marks(svg, 'symbol', 'role-legend-symbol').map(style)).toEqual(curves)
    expect(texts(svg, 'role-legend-label')).toEqual(lines.map(({ name }) => name))
    expect(new Set(lines.map((_, i) => style({ stroke: curveStyle(i).colour }))).size).toBe(5)
  })

  test('short names share a row of the legend, long ones have their own', async () => {
    const rows = async (suffix: string) => {
      const svg = await draw(['a', 'b', 'c'].map((name) => ({ name: name + suffix, x: [0, 1], y: [0, 1] })))
      const legend = svg.slice(svg.indexOf('role-scope'), svg.lastIndexOf('role-legend-symbol'))
      return new Set([...legend.matchAll(/<g transform="translate\(\d+,(\d+)\)">/g)].map(([, y]) => y)).size
    }
    expect(await rows('')).toBe(1)
    expect(await rows(' with a name that is as long as labels of sweeps are')).toBe(3)
  })

  test('nothing at all, one value and markup in a name are drawn', async () => {
    expect(await draw([{ name: 'a', x: [], y: [] }])).toContain('<svg')
    expect(await draw([{ name: 'a', x: [1, 2], y: [0, -1] }], { log: true })).not.toMatch(/NaN|undefined/)
    const svg = await draw([{ name: '<b>&', x: [5], y: [3] }])
    expect(texts(svg, 'role-legend-label')).toEqual(['&lt;b&gt;&amp;'])
    expect(marks(svg, 'symbol')).toHaveLength(1)
    expect(texts(svg, 'role-axis-label')).toEqual(['5', '3'])
  })
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

describe('a matrix', () => {
  const matrix = (shares: number[][]) =>
    matrixSpec(
      shares,
      shares.map((_, i) => `class ${i}`),
      { title: 't', subtitle: 's', rows: 'mask', columns: 'predicted' },
    )

  test('has a cell for each share, as dark as it is large, and frames what was found right', async () => {
    const svg = await chartSvg(
      matrix([
        [0.5, 0.5, 0],
        [0, 1, 0],
        [0, 0.004, 0],
      ]),
    )
    const cells = marks(svg, 'rect').map(({ d, fill, stroke }) => [d, fill ?? `framed ${stroke}`])
    const half = 'rgb(128, 185, 217)'
    expect(cells).toEqual([
      ['M0,0h36v36h-36Z', half],
      ['M36,0h36v36h-36Z', half],
      ['M36,36h36v36h-36Z', 'rgb(0, 114, 178)'],
      ['M36,72h36v36h-36Z', 'rgb(254, 254, 255)'],
      ['M0,0h36v36h-36Z', 'framed #000'],
      ['M36,36h36v36h-36Z', 'framed #000'],
      ['M72,72h36v36h-36Z', 'framed #000'],
    ])
    expect(texts(svg, 'role-mark layer_2_marks')).toEqual(['50', '50', '100'])
    expect(texts(svg, 'role-axis-label')).toEqual(['class 0', 'class 1', 'class 2', 'class 0', 'class 1', 'class 2'])
    expect(texts(svg, 'role-axis-title').sort()).toEqual(['mask', 'predicted'])
  })

  test('of 171 classes fits a page, without numbers that cannot be read', async () => {
    const svg = await chartSvg(
      matrix(Array.from({ length: 171 }, (_, i) => Array.from({ length: 171 }, (_, j) => (i === j ? 0.97 : 0)))),
    )
    expect(svg).not.toContain('>97<')
    expect(Number(/height="(\d+)"/.exec(svg)![1])).toBeLessThan(1900)
  })
})

describe('a file', () => {
  const home = emptyHome(afterAll)
  const spec = (title: string) => curvesSpec([{ name: 'run1', x: [0, 1], y: [1, 1] }], { title })
  const write = async (title: string, format: '.svg' | '.png' | '.json') => {
    const file = join(home, `chart${format}`)
    await writeChart(spec(title), file, format)
    return readFileSync(file)
  }
  /** Which pixels are dark in the corner where the title stands, one character a pixel. */
  async function inkOfTitle(title: string): Promise<string> {
    const { data, width } = await decodeImage(await write(title, '.png'))
    return Array.from({ length: 50 * 400 }, (_, i) =>
      data[3 * (Math.floor(i / 400) * width + (i % 400))] < 128 ? '#' : '',
    ).join(' ')
  }
  const darkOf = (ink: string): number => ink.split('#').length - 1

  test('.png has text without the fonts of the machine, and other letters look different', async () => {
    const ink = await inkOfTitle('train/loss')
    expect(darkOf(ink)).toBeGreaterThan(300)
    expect(darkOf(await inkOfTitle(' '))).toBe(0)
    expect((await inkOfTitle('train/lost')) === ink).toBe(false)
  })

  test('.png has the colours of the curves', async () => {
    const { data, width, height } = await decodeImage(await write('t', '.png'))
    const [r, g, b] = curveStyle(0).colour.match(/\d+/g)!.map(Number)
    let coloured = 0
    for (let i = 0; i < 3 * width * height; i += 3)
      if (data[i] === r && data[i + 1] === g && data[i + 2] === b) coloured++
    expect(coloured).toBeGreaterThan(1000) // a line across, nearly four pixels high
    expect(width).toBeGreaterThan(2 * 680)
  })

  test('.json is the specification that is drawn', async () => {
    const drawn = await chartSvg(JSON.parse((await write('t', '.json')).toString()))
    expect(`${drawn}\n`).toBe((await write('t', '.svg')).toString())
  })
})
