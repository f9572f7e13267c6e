import type { TopLevelSpec } from 'vega-lite'
import { colourOf } from '../eval/palette.ts'

/** What plot files show, as Vega-Lite 6 specifications that hold their data. `chart-file.ts` draws them. */

export type Line = {
  name: string
  /** Steps, ascending. */
  x: readonly number[]
  y: readonly number[]
  /** Lower and upper edge of a band around the line, as the range over seeds. */
  band?: { low: readonly number[]; high: readonly number[] }
}

export type CurveOptions = {
  title: string
  width?: number
  height?: number
  /** Logarithmic y axis; what is not above 0 interrupts its curve. */
  log?: boolean
}

/** The palette without its yellow and light grey, which white paper swallows. */
const ON_WHITE = [4, 0, 2, 5, 1, 6, 7, 9, 10, 12, 13, 14, 15, 17]
const DASHES = [
  [1, 0],
  [8, 4],
  [2, 3],
  [10, 3, 2, 3],
]

/** Colour and dashes of the i-th curve: told apart by colour-blind eyes and in grey. */
export const curveStyle = (i: number): { colour: string; dash: number[] } => ({
  colour: cssColour(ON_WHITE[i % ON_WHITE.length]),
  dash: DASHES[i % DASHES.length],
})

const cssColour = (index: number): string => `rgb(${colourOf(index).join(',')})`

const FONT_SIZE = 12
/** Vega takes a character for 0.8 of the font's size where there is no canvas to measure it. */
const CHARACTER = 0.8 * FONT_SIZE

/** What all charts have in common: our font before others of its widths, plain weight, no limit to the length of text. */
export const CHART: Pick<TopLevelSpec, '$schema' | 'background' | 'padding' | 'config'> = {
  $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
  background: 'white',
  padding: 8,
  config: {
    aria: false,
    font: 'DejaVu Sans, Verdana, sans-serif',
    title: { anchor: 'start', fontWeight: 'normal', fontSize: 14, subtitleFontSize: FONT_SIZE, limit: 0 },
    axis: {
      labelFontSize: FONT_SIZE,
      titleFontSize: FONT_SIZE,
      titleFontWeight: 'normal',
      labelLimit: 0,
      titleLimit: 0,
    },
    legend: {
      labelFontSize: FONT_SIZE,
      labelLimit: 0,
      titleFontSize: FONT_SIZE,
      titleFontWeight: 'normal',
      titleLimit: 0,
    },
  },
}

type Row = { run: string; step: number; value: number | null; alone?: true; low?: number | null; high?: number | null }

/**
 * Curves over steps. A curve is interrupted where a value is not finite; a point between two gaps is a dot. A band counts
 * for the axis.
 */
export function curvesSpec(
  lines: readonly Line[],
  { title, width = 680, height = 340, log = false }: CurveOptions,
): TopLevelSpec {
  const names = lines.map(({ name }) => name)
  const styles = names.map((_, i) => curveStyle(i))
  const shown = (value: number | undefined) =>
    value !== undefined && Number.isFinite(value) && !(log && value <= 0) ? value : null
  const values = lines.flatMap(({ name, x, y, band }) => {
    const drawn = x.map((_, i) => shown(y[i]))
    return x.map((step, i): Row => {
      const value = drawn[i]
      const alone = value !== null && (drawn[i - 1] ?? null) === null && (drawn[i + 1] ?? null) === null
      return {
        run: name,
        step,
        value,
        ...(alone ? { alone } : {}),
        ...(band ? { low: shown(band.low[i]), high: shown(band.high[i]) } : {}),
      }
    })
  })
  const entry = 60 + CHARACTER * names.reduce((longest, name) => Math.max(longest, name.length), 0)
  const y = {
    field: 'value',
    type: 'quantitative',
    title: null,
    scale: log ? ({ type: 'log', nice: false } as const) : { zero: false },
    axis: { format: '~r' },
  } as const
  const legend = {
    orient: 'top',
    title: null,
    columns: Math.max(1, Math.floor(width / entry)),
    symbolType: 'stroke',
    symbolSize: 900,
    symbolStrokeWidth: 1.8,
    symbolOpacity: 1,
    rowPadding: -10, // a symbol is taken to be as high as it is long
  } as const
  return {
    ...CHART,
    title,
    width,
    height,
    data: { values },
    encoding: {
      x: {
        field: 'step',
        type: 'quantitative',
        scale: { zero: false, nice: false },
        axis: { grid: false, format: ',~f' },
      },
      color: {
        field: 'run',
        type: 'nominal',
        scale: { domain: names, range: styles.map(({ colour }) => colour) },
        legend,
      },
    },
    layer: [
      ...(lines.some(({ band }) => band)
        ? [
            {
              mark: { type: 'area', opacity: 0.15 } as const,
              encoding: { y: { ...y, field: 'low' }, y2: { field: 'high' } },
            },
          ]
        : []),
      {
        mark: { type: 'line', strokeWidth: 1.8 },
        encoding: {
          y,
          strokeDash: {
            field: 'run',
            type: 'nominal',
            scale: { domain: names, range: styles.map(({ dash }) => dash) },
            legend,
          },
        },
      },
      {
        transform: [{ filter: 'datum.alone' }],
        mark: { type: 'point', filled: true, size: 40, opacity: 1 },
        encoding: { y },
      },
    ],
  }
}

/** Cells in which a number can be read, in pixels. */
const READABLE = 26

/**
 * A matrix of shares: the darker a cell, the larger its share of the row. Names of the rows stand at the left, of the
 * columns above, turned; what was found right, the diagonal, is framed.
 */
export function matrixSpec(
  shares: readonly (readonly number[])[],
  names: readonly string[],
  { title, subtitle, rows, columns }: { title: string; subtitle: string; rows: string; columns: string },
): TopLevelSpec {
  const cell = Math.max(9, Math.min(36, Math.floor(900 / names.length)))
  const size = cell * names.length
  const values = shares.flatMap((row, r) =>
    row.flatMap((share, c) =>
      share > 0 || r === c ? [{ row: names[r], column: names[c], percent: 100 * share, right: r === c }] : [],
    ),
  )
  const lines = { domain: false, ticks: false, grid: true, gridColor: '#eee', bandPosition: 0, translate: 0 } as const
  const axis = { ...lines, zindex: 0, labelPadding: 6, titleAnchor: 'start', titleColor: '#555' } as const
  const scale = { domain: [...names], padding: 0 }
  return {
    ...CHART,
    title: { text: title, subtitle },
    width: size,
    height: size,
    data: { values },
    encoding: {
      x: {
        field: 'column',
        type: 'nominal',
        title: columns,
        scale,
        axis: { ...axis, orient: 'top', labelAngle: -60 },
      },
      y: {
        field: 'row',
        type: 'nominal',
        title: rows,
        scale,
        axis: { ...axis, titleAngle: 0, titleAlign: 'right', titleX: -6, titleY: -8 },
      },
    },
    layer: [
      {
        transform: [{ filter: 'datum.percent > 0' }],
        mark: { type: 'rect', stroke: '#eee', strokeWidth: 0.5 },
        encoding: {
          color: {
            field: 'percent',
            type: 'quantitative',
            // blue: dark enough to be read in grey
            scale: { domain: [0, 100], range: ['#fff', cssColour(4)], interpolate: 'rgb' },
            legend: { title: '% of the row', gradientLength: Math.min(200, size) },
          },
        },
      },
      {
        transform: [{ filter: 'datum.right' }],
        mark: { type: 'rect', filled: false, stroke: '#000', strokeWidth: 1 },
      },
      ...(cell >= READABLE
        ? [
            {
              transform: [{ filter: 'datum.percent >= 0.5' }],
              mark: { type: 'text', fontSize: FONT_SIZE } as const,
              encoding: {
                text: { field: 'percent', type: 'quantitative', format: '.0f' } as const,
                color: { condition: { test: 'datum.percent > 55', value: '#fff' }, value: '#000' } as const,
              },
            },
          ]
        : []),
    ],
  }
}
