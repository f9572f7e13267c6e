import { formatNumber, pad, textWidth } from './format.ts'
import { type Line, type Span, span, type Tone, truncateLine } from './lines.ts'

/** A line chart in braille dots (2 × 4 to a character): pure, from points and a size to lines of text. */

export type ChartPoint = {
  x: number
  /** NaN is a gap in the line. */
  y: number
  /** Extremes of the points that this one stands for; drawn as a bar so that a spike is seen. */
  low?: number
  high?: number
}
export type ChartSeries = {
  name: string
  tone: Tone
  points: readonly ChartPoint[]
  /** 0 is a solid line; 1, 2, 3 leave ever longer gaps, for terminals without colour. */
  dash?: number
}
export type ChartOptions = {
  width: number
  height: number
  logY?: boolean
  /** Weight of the past in an exponential moving average, 0 to 1; 0 draws what was measured. */
  smoothing?: number
  /** Part of the x-axis that is drawn; all of it when left out. */
  window?: readonly [number, number] | undefined
  /** A vertical line at this x. */
  cursor?: number | undefined
  formatX?: (x: number) => string
  formatY?: (y: number) => string
}

type Scale = { low: number; high: number; log: boolean }

/** `height` lines of exactly `width` columns: the plot, labels of the y-axis at its left and of the x-axis under it. */
export function chartLines(series: readonly ChartSeries[], options: ChartOptions): Line[] {
  const { width, height, logY = false, smoothing = 0, cursor, formatX = formatNumber, formatY = formatNumber } = options
  const range = options.window ?? extentOf(series, ({ x, y }) => (Number.isFinite(y) ? [x] : []))
  const visible = series.map((s) => ({
    ...s,
    points: clip(smoothing > 0 ? smooth(s.points, smoothing) : s.points, range),
  }))
  const ends = extentOf(visible, ({ y, low = y, high = y }) => [y, low, high], logY)
  if (range === null || ends === null || height < 2) return emptyChart(width, height)

  const scale = niceScale(ends, logY)
  const rows = height - 1
  const ticks = tickRows(scale, rows).map((tick) => ({ ...tick, label: formatY(tick.value) }))
  const left = Math.max(...ticks.map((tick) => textWidth(tick.label)))
  const columns = width - left - 1
  if (columns < 4) return emptyChart(width, height)

  const canvas = newCanvas(columns, rows)
  const [x0, x1] = range
  const toColumn = (x: number) => (x1 === x0 ? columns - 1 : Math.round(((x - x0) / (x1 - x0)) * (2 * columns - 1)))
  const toRow = (y: number) => Math.round((1 - unit(scale, y)) * (4 * rows - 1))
  if (cursor !== undefined && cursor >= x0 && cursor <= x1) canvas.cursor = Math.floor(toColumn(cursor) / 2)
  for (const s of visible) drawSeries(canvas, s, toColumn, toRow, logY)

  const labels = new Map(ticks.map((tick) => [tick.row, tick.label]))
  const lines = Array.from({ length: rows }, (_, row): Line => {
    const label = labels.get(row)
    return [
      span(`${pad(label ?? '', left, 'right')}${label === undefined ? '│' : '┤'}`, 'dim'),
      ...canvasRow(canvas, row),
    ]
  })
  return [...lines, xAxis(formatX(x0), formatX(x1), left + 1, columns, cursor === undefined ? null : formatX(cursor))]
}

function xAxis(first: string, last: string, indent: number, columns: number, cursor: string | null): Line {
  const middle = cursor === null ? '' : `▲ ${cursor}`
  const space = columns - textWidth(first) - textWidth(last) - textWidth(middle)
  if (space < 2) return truncateLine([span(`${' '.repeat(indent)}${pad(first, columns)}`, 'dim')], indent + columns)
  const before = Math.floor(space / 2)
  return [
    span(`${' '.repeat(indent)}${first}${' '.repeat(before)}`, 'dim'),
    span(middle, 'accent'),
    span(`${' '.repeat(space - before)}${last}`, 'dim'),
  ]
}

function emptyChart(width: number, height: number): Line[] {
  const text = 'nothing yet'
  return Array.from({ length: height }, (_, row): Line => {
    if (row !== Math.floor((height - 1) / 2)) return [span(' '.repeat(width))]
    const before = Math.max(0, Math.floor((width - text.length) / 2))
    return [span(pad(`${' '.repeat(before)}${text}`, width), 'dim')]
  })
}

/** Exponential moving average, corrected for its start; a gap stays a gap and does not reset it. */
export function smooth(points: readonly ChartPoint[], weight: number): ChartPoint[] {
  let average = 0
  let mass = 0
  return points.map(({ x, y }) => {
    if (!Number.isFinite(y)) return { x, y: Number.NaN }
    average = weight * average + (1 - weight) * y
    mass = weight * mass + (1 - weight)
    return { x, y: average / mass }
  })
}

/** Least and greatest of the finite numbers that `of` finds in the points; null where there are none. */
function extentOf(
  series: readonly ChartSeries[],
  of: (point: ChartPoint) => readonly number[],
  positive = false,
): readonly [number, number] | null {
  let [low, high] = [Infinity, -Infinity]
  for (const { points } of series) {
    for (const point of points) {
      for (const value of of(point)) {
        if (!Number.isFinite(value) || (positive && value <= 0)) continue
        if (value < low) low = value
        if (value > high) high = value
      }
    }
  }
  return low > high ? null : [low, high]
}

/** Points are in the order of their x. */
function clip(points: readonly ChartPoint[], range: readonly [number, number] | null): readonly ChartPoint[] {
  if (range === null || points.length === 0) return []
  const [low, high] = range
  if (points[0].x >= low && points[points.length - 1].x <= high) return points
  return points.filter((p) => p.x >= low && p.x <= high)
}

/** Round ends around the values: whole decades when logarithmic, multiples of 1, 2 or 5 when not. */
function niceScale([low, high]: readonly [number, number], log: boolean): Scale {
  if (log) {
    const [a, b] = [Math.log10(low), Math.log10(high)]
    // less than a decade: the decades' ends would press the line flat
    if (b - a < 1) return { low: low / 1.05, high: high * 1.05, log }
    return { low: 10 ** Math.floor(a), high: 10 ** Math.ceil(b), log }
  }
  if (low === high) {
    const around = low === 0 ? 1 : Math.abs(low) * 0.1
    return { low: low - around, high: high + around, log }
  }
  const step = niceStep((high - low) / 4)
  return { low: tidy(Math.floor(low / step) * step), high: tidy(Math.ceil(high / step) * step), log }
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough))
  const digit = rough / power
  return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10)
}

/** 0.30000000000000004 → 0.3 */
const tidy = (value: number): number => Number(value.toPrecision(12))

/** Where a value lies on the axis, 0 at the bottom to 1 at the top. */
function unit({ low, high, log }: Scale, y: number): number {
  const at = log ? (Math.log(y) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (y - low) / (high - low)
  return Math.max(0, Math.min(1, at))
}

/** Values worth a label and the character row each stands in: the ends, and what fits between them. */
function tickRows(scale: Scale, rows: number): { row: number; value: number }[] {
  const count = rows >= 9 ? 5 : rows >= 5 ? 3 : 2
  return Array.from({ length: count }, (_, i) => {
    const share = i / (count - 1)
    const value = scale.log
      ? scale.low * (scale.high / scale.low) ** share
      : scale.low + share * (scale.high - scale.low)
    return { row: Math.round((1 - share) * (rows - 1)), value: tidy(value) }
  })
}

type Canvas = { columns: number; rows: number; dots: Uint8Array; tones: (Tone | null)[]; cursor: number | null }

type Dot = { x: number; y: number }

const newCanvas = (columns: number, rows: number): Canvas => ({
  columns,
  rows,
  dots: new Uint8Array(columns * rows),
  tones: new Array(columns * rows).fill(null),
  cursor: null,
})

/** Bits of the dots of a braille character by row and column (Unicode, block U+2800). */
const BRAILLE = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
]

function setDot(canvas: Canvas, x: number, y: number, tone: Tone): void {
  if (x < 0 || y < 0 || x >= 2 * canvas.columns || y >= 4 * canvas.rows) return
  const cell = (y >> 2) * canvas.columns + (x >> 1)
  canvas.dots[cell] |= BRAILLE[y & 3][x & 1]
  canvas.tones[cell] = tone
}

function drawSeries(
  canvas: Canvas,
  { points, tone, dash = 0 }: ChartSeries,
  toColumn: (x: number) => number,
  toRow: (y: number) => number,
  logY: boolean,
): void {
  const drawable = (y: number) => Number.isFinite(y) && (!logY || y > 0)
  let previous: Dot | null = null
  for (const point of points) {
    if (!drawable(point.y)) {
      previous = null
      continue
    }
    const here: Dot = { x: toColumn(point.x), y: toRow(point.y) }
    drawSegment(canvas, previous ?? here, here, tone, dash)
    const { low, high } = point
    if (low !== undefined && high !== undefined && drawable(low) && drawable(high))
      drawSegment(canvas, { x: here.x, y: toRow(low) }, { x: here.x, y: toRow(high) }, tone, dash)
    previous = here
  }
}

/** A straight line of dots, both ends included. */
function drawSegment(canvas: Canvas, from: Dot, to: Dot, tone: Tone, dash: number): void {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y))
  for (let i = 0; i <= steps; i++) {
    const share = steps === 0 ? 0 : i / steps
    const x = Math.round(from.x + share * (to.x - from.x))
    const y = Math.round(from.y + share * (to.y - from.y))
    // by the place on the canvas and not in the segment: the pattern runs on over short segments
    if (dash === 0 || (x + y) % (2 * dash + 2) <= dash) setDot(canvas, x, y, tone)
  }
}

/** One row of characters, neighbours of the same tone in one span. */
function canvasRow(canvas: Canvas, row: number): Span[] {
  const spans: { text: string; tone: Tone }[] = []
  for (let column = 0; column < canvas.columns; column++) {
    const cell = row * canvas.columns + column
    const dots = canvas.dots[cell]
    const onCursor = dots === 0 && canvas.cursor === column
    const text = onCursor ? '│' : dots === 0 ? ' ' : String.fromCharCode(0x2800 + dots)
    const tone = onCursor ? 'dim' : (canvas.tones[cell] ?? 'plain')
    const last = spans.at(-1)
    if (last && (last.tone === tone || (dots === 0 && !onCursor))) last.text += text
    else spans.push({ text, tone })
  }
  return spans
}
