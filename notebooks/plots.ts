import type { TopLevelSpec } from 'vega-lite'
import { chartSvg } from '../lib/cli/chart-file.ts'
import { CHART, type CurveOptions, curveStyle, curvesSpec, type Line } from '../lib/cli/vega-lite.ts'
import { spreadOf } from '../lib/eval/seeds.ts'

/** What the notebooks show: tables and charts that need neither a network nor an extension of the editor. */

/** What Deno's kernel displays when it is the value of a cell. */
export type Shown = { [Symbol.toStringTag]: string; [key: symbol]: unknown }

const shown = (data: Record<string, string> | Promise<Record<string, string>>): Shown => ({
  [Symbol.toStringTag]: 'Shown',
  [Symbol.for('Jupyter.display')]: () => data,
})

const picture = (spec: TopLevelSpec, text: string): Shown =>
  shown(chartSvg(spec).then((svg) => ({ 'image/svg+xml': svg, 'text/plain': text })))

export type Row = Record<string, string | number | null>

/** Rows as a table; numbers are rounded to four digits unless a column has its own `format`. */
export function table(rows: readonly Row[], format: Record<string, (value: number) => string> = {}): Shown {
  if (rows.length === 0) return shown({ 'text/markdown': '*nothing*', 'text/plain': 'nothing' })
  const columns = Object.keys(rows[0])
  const text = (row: Row, column: string): string => {
    const value = row[column]
    if (value === null || value === undefined) return '–'
    if (typeof value !== 'number') return value.replaceAll('|', '\\|').replaceAll('\n', ' ')
    return format[column]?.(value) ?? String(Number(value.toPrecision(4)))
  }
  const right = (column: string) => rows.some((row) => typeof row[column] === 'number')
  const lines = [
    columns,
    columns.map((column) => (right(column) ? '---:' : '---')),
    ...rows.map((row) => columns.map((column) => text(row, column))),
  ].map((cells) => `| ${cells.join(' | ')} |`)
  return shown({ 'text/markdown': lines.join('\n'), 'text/plain': lines.join('\n') })
}

/** A fraction in percent with one decimal, as the field writes mIoU. */
export const percent = (value: number): string => (100 * value).toFixed(1)

/** Curves over steps. */
export const curves = (lines: readonly Line[], options: CurveOptions): Shown =>
  picture(curvesSpec(lines, options), `${options.title}: ${lines.map(({ name }) => name).join(', ')}`)

export type Point = { curve: string; run: string; step: number; value: number | null }

/** Points as curves, one for each name and run; a value that is not a number interrupts its curve. */
export function eachRun(points: readonly Point[]): Line[] {
  const lines = new Map<string, { name: string; x: number[]; y: number[] }>()
  for (const { curve, run, step, value } of points) {
    const key = `${curve} ${run}`
    const line = lines.get(key) ?? { name: key, x: [], y: [] }
    line.x.push(step)
    line.y.push(value ?? Number.NaN)
    lines.set(key, line)
  }
  return [...lines.values()]
}

/** Points as one curve for each name: the mean over its runs in the band between the lowest and the highest. */
export function overSeeds(points: readonly Point[]): Line[] {
  return [...groupBy(points, (point) => point.curve)].map(([curve, own]) => {
    const runs = new Set(own.map(({ run }) => run)).size
    const steps = [...groupBy(own, ({ step }) => step)]
      .filter(([, at]) => at.length === runs) // where one run has ended, the mean of the others would jump
      .sort(([a], [b]) => a - b)
    const values = steps.map(([, at]) => at.map(({ value }) => value ?? Number.NaN))
    return {
      name: runs > 1 ? `${curve} (${runs} seeds)` : curve,
      x: steps.map(([step]) => step),
      y: values.map((all) => all.reduce((a, b) => a + b) / all.length),
      ...(runs > 1
        ? { band: { low: values.map((all) => Math.min(...all)), high: values.map((all) => Math.max(...all)) } }
        : {}),
    }
  })
}

/** Items by key, in the order in which the keys appear. */
export function groupBy<T, K>(items: readonly T[], key: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return groups
}

export type Sample = { name: string; values: readonly number[] }

/**
 * Samples one below the other: a dot for each value, a bar at the mean, a whisker of one standard deviation to each
 * side. `references` are drawn as dashed lines through all of them.
 */
export function dots(
  samples: readonly Sample[],
  { title, xLabel, references = [] }: { title: string; xLabel: string; references?: { name: string; x: number }[] },
): Shown {
  const values = samples.flatMap(({ name, values }) => {
    const lost = values.filter((value) => !Number.isFinite(value)).length
    const sample = lost > 0 ? `${name} (${lost} NaN)` : name
    const { mean, std } = spreadOf(values)
    const summary = std !== null && Number.isFinite(std) ? [{ sample, mean, low: mean - std, high: mean + std }] : []
    const finite = values.filter(Number.isFinite).map((value) => ({ sample, value }))
    return [...finite, ...summary, ...(finite.length === 0 ? [{ sample }] : [])]
  })
  const names = [...new Set(values.map(({ sample }) => sample))]
  const lines = references.map(({ name, x }) => ({ reference: `${name} ${Number(x.toPrecision(3))}`, x }))
  const x = { type: 'quantitative', title: xLabel, axis: { format: '~r' } } as const
  const spec: TopLevelSpec = {
    ...CHART,
    title,
    width: 560,
    height: { step: 30 },
    data: { values },
    encoding: {
      y: { field: 'sample', type: 'nominal', sort: names, title: null, axis: { domain: false, ticks: false } },
      color: {
        field: 'sample',
        type: 'nominal',
        scale: { domain: names, range: names.map((_, i) => curveStyle(i).colour) },
        legend: null,
      },
    },
    layer: [
      {
        data: { values: lines },
        mark: { type: 'rule', color: '#777', strokeWidth: 1.5 },
        encoding: {
          x: { ...x, field: 'x' },
          y: { value: 0 },
          y2: { value: 'height' },
          color: { value: '#777' },
          strokeDash: {
            field: 'reference',
            type: 'nominal',
            sort: lines.map(({ reference }) => reference),
            scale: { range: lines.map((_, i) => curveStyle(i + 1).dash) },
            legend: { orient: 'bottom', direction: 'vertical', title: null, symbolSize: 900, rowPadding: -10 },
          },
        },
      },
      { mark: { type: 'rule', strokeWidth: 2 }, encoding: { x: { ...x, field: 'low' }, x2: { field: 'high' } } },
      { mark: { type: 'tick', thickness: 3, size: 18, opacity: 1 }, encoding: { x: { ...x, field: 'mean' } } },
      {
        mark: { type: 'circle', size: 64, opacity: 0.6, stroke: '#fff' },
        encoding: { x: { ...x, field: 'value', scale: { zero: true } } },
      },
    ],
  }
  return picture(spec, title)
}
