import { type ChartOptions, type Line, lineChart } from '../lib/cli/line-chart.ts'
import { curveStyle, extentOf, round, svgDocument, textReach, textWriter, ticksOf, tickText } from '../lib/cli/svg.ts'
import { spreadOf } from '../lib/eval/seeds.ts'

/** What the notebooks show: tables and charts that need neither a network nor an extension of the editor. */

/** What Deno's kernel displays when it is the value of a cell. */
export type Shown = { [Symbol.toStringTag]: string; [key: symbol]: unknown }

const shown = (data: Record<string, string>): Shown => ({
  [Symbol.toStringTag]: 'Shown',
  [Symbol.for('Jupyter.display')]: () => data,
})

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
export const curves = (lines: readonly Line[], options: Omit<ChartOptions, 'xLabel'> & { xLabel?: string }): Shown =>
  shown({
    'image/svg+xml': lineChart(lines, { xLabel: 'step', ...options }),
    'text/plain': `${options.title}: ${lines.map(({ name }) => name).join(', ')}`,
  })

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

const ROW = 30
const MARGIN = { top: 40, right: 24, bottom: 52 }

/**
 * Samples one below the other: a dot for each value, a bar at the mean, a whisker of one standard deviation to each
 * side. `references` are drawn as dashed lines through all of them.
 */
export function dots(
  samples: readonly Sample[],
  { title, xLabel, references = [] }: { title: string; xLabel: string; references?: { name: string; x: number }[] },
): Shown {
  const width = 760
  const left = 16 + Math.max(60, ...samples.map(({ name }) => textReach(name)))
  const bottom = MARGIN.top + ROW * samples.length
  const height = bottom + MARGIN.bottom + 16 * references.length
  const write = textWriter(false)
  const spreads = samples.map(({ values }) => spreadOf(values))
  const whiskers = spreads.flatMap(({ mean, std }) => (std === null ? [] : [mean - std, mean + std]))
  const xs = extentOf([0, ...samples.flatMap(({ values }) => values), ...whiskers, ...references.map(({ x }) => x)])
  const px = (x: number) => round(left + ((x - xs.low) / (xs.high - xs.low)) * (width - left - MARGIN.right))
  const parts = [write(title, 12, 20)]
  for (const tick of ticksOf(xs)) {
    parts.push(`<path d="M${px(tick)} ${MARGIN.top}V${bottom}" stroke="#ddd"/>`)
    parts.push(write(tickText(tick), px(tick), bottom + 18, 'middle', '#444'))
  }
  parts.push(write(xLabel, width - MARGIN.right, bottom + 36, 'end', '#444'))
  for (const [i, { name, x }] of references.entries()) {
    const { dashes } = curveStyle(i + 1)
    parts.push(
      `<path d="M${px(x)} ${MARGIN.top}V${bottom}" stroke="#777" stroke-width="1.5" stroke-dasharray="${dashes}"/>`,
    )
    const y = bottom + MARGIN.bottom + 16 * i
    parts.push(`<path d="M12 ${y - 4}h28" stroke="#777" stroke-width="1.5" stroke-dasharray="${dashes}"/>`)
    parts.push(write(`${name} ${tickText(x)}`, 48, y, 'start', '#444'))
  }
  for (const [i, { name, values }] of samples.entries()) {
    const y = MARGIN.top + ROW * (i + 0.5)
    const { colour } = curveStyle(i)
    const finite = values.filter(Number.isFinite)
    const lost = values.length - finite.length
    parts.push(write(lost > 0 ? `${name} (${lost} NaN)` : name, left - 8, y + 4, 'end'))
    const { mean, std } = spreads[i]
    if (std !== null && Number.isFinite(std)) {
      parts.push(`<path d="M${px(mean - std)} ${y}H${px(mean + std)}" stroke="${colour}" stroke-width="2"/>`)
      parts.push(`<path d="M${px(mean)} ${y - 9}v18" stroke="${colour}" stroke-width="3"/>`)
    }
    for (const value of finite)
      parts.push(`<circle cx="${px(value)}" cy="${y}" r="4.5" fill="${colour}" fill-opacity="0.6" stroke="#fff"/>`)
  }
  return shown({ 'image/svg+xml': svgDocument(width, height, parts), 'text/plain': title })
}
