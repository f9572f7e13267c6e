import { formatDuration } from '../../core/durations.ts'
import { type ChartPoint, type ChartSeries, chartLines } from '../chart.ts'
import { formatMetric, formatTick } from '../format.ts'
import { beside, EMPTY, type Line, lineWidth, SERIES_TONES, type Span, span, truncateLine } from '../lines.ts'
import type { RunState } from '../reducer.ts'
import { type Bucket, bucketMean, bucketsOf, firstBucket, lastBucket, type Series } from '../series.ts'
import { SMOOTHING, type View, type XAxis } from '../view.ts'
import type { Scene } from './scene.ts'

/** Panels of charts that share an x-axis, a zoom and a cursor. */

export type Panel = { title: string; unit?: string; lines: { name: string; run: RunState; metric: string }[] }

/** Signs of the lines in a legend, one for each dash pattern of the chart. */
const SIGNS = ['━', '╍', '┅', '┉', '╌', '┄', '┈']

const MIN_PANEL = 6

/** The panels in as many columns as are readable; those that do not fit are reached by scrolling. */
export function panelLines(panels: readonly Panel[], scene: Scene, height: number): Line[] {
  const { width } = scene
  const view = { ...scene.view, xAxis: axisOf(panels, scene.view.xAxis) }
  const across = width >= 150 ? 3 : width >= 70 ? 2 : 1
  const needed = Math.ceil(panels.length / across)
  const shownRows = Math.max(1, Math.min(needed, Math.floor(height / MIN_PANEL)))
  const first = Math.min(view.scroll, needed - shownRows)
  const panelWidth = Math.floor((width - 2 * (across - 1)) / across)
  const range = xRange(panels, view)
  const out: Line[] = []
  for (let r = 0; r < shownRows; r++) {
    // the last row takes what the division left over
    const panelHeight = Math.floor(height / shownRows) + (r < height % shownRows ? 1 : 0)
    const part = panels.slice((first + r) * across, (first + r + 1) * across)
    const blocks = part.map((panel) => ({
      width: panelWidth,
      lines: onePanel(panel, { ...scene, view }, panelWidth, panelHeight, range),
    }))
    out.push(...beside(blocks, 2))
  }
  return out
}

function onePanel(
  panel: Panel,
  scene: Scene,
  width: number,
  height: number,
  range: readonly [number, number] | null,
): Line[] {
  const { view } = scene
  const cursor = range === null || view.cursor === null ? undefined : range[0] + view.cursor * (range[1] - range[0])
  const series = panel.lines.map(({ name, run, metric }, i): ChartSeries => {
    const found = run.series[metric]
    const points = found === undefined ? [] : pointsOf(run, found, view.xAxis)
    return { name, tone: SERIES_TONES[i % SERIES_TONES.length], points, dash: scene.colour ? 0 : i % 4 }
  })
  const metric = panel.lines[0]?.metric ?? ''
  const chart = chartLines(series, {
    width,
    height: height - 1,
    logY: view.logY,
    smoothing: SMOOTHING[view.smoothing],
    window: range ?? undefined,
    cursor,
    formatX: (x) => formatX(x, view.xAxis),
    formatY: (y) => formatTick(metric, y),
  })
  const values = panel.lines.map(({ run, metric: m }, i) =>
    cursor === undefined ? lastValue(run, m) : valueAt(series[i].points, cursor),
  )
  return [legendLine(panel, values, scene.colour, width), ...chart]
}

/** Title, lines and their values, as much of it as there is room for. */
function legendLine(panel: Panel, values: readonly (number | undefined)[], colour: boolean, width: number): Line {
  const title = span(`${panel.title}${panel.unit === undefined ? '' : ` ${panel.unit}`}`, 'title')
  const known = panel.lines.flatMap((l, i) => {
    const value = values[i]
    return value === undefined ? [] : [{ ...l, i, value }]
  })
  const alone = panel.lines.length === 1
  const entries = (gap: string, name: (name: string) => string, digits: (text: string) => string): Span[] =>
    known.flatMap(({ name: n, metric, i, value }) => [
      span(alone ? '  ' : `${gap}${SIGNS[colour ? 0 : i % 4]}${name(n)} `, SERIES_TONES[i % SERIES_TONES.length]),
      span(digits(formatMetric(metric, value)), Number.isFinite(value) ? 'plain' : 'bad'),
    ])
  const full = entries('  ', (name) => ` ${name}`, String)
  const short = entries(
    ' ',
    (name) => name.slice(0, 5),
    (text) => text.replace(/^(\d\.\d\d)\d+$/, '$1'),
  )
  // the lines of one metric are runs, whose colours stand elsewhere too: there the title may not go
  const oneMetric = new Set(panel.lines.map(({ metric }) => metric)).size === 1
  const names = known.map(({ name, i }) =>
    span(` ${SIGNS[colour ? 0 : i % 4]}${name}`, SERIES_TONES[i % SERIES_TONES.length]),
  )
  const untitled = short.map((s, i) => (i === 0 ? { ...s, text: s.text.trimStart() } : s))
  const choices = [[title, ...full], [title, ...short], oneMetric ? [title, ...names] : untitled, [title]]
  return truncateLine(choices.find((choice) => lineWidth(choice) <= width) ?? [title], width)
}

/** What the charts are set to; empty when nothing is out of the ordinary. */
export function chartSettings(view: View): string {
  const parts = view.xAxis === 'step' ? [] : [view.xAxis === 'epoch' ? 'x epoch where known' : `x ${view.xAxis}`]
  if (view.logY) parts.push('log y')
  if (view.smoothing > 0) parts.push(`smoothing ${SMOOTHING[view.smoothing]}`)
  if (view.zoom > 0) parts.push(`last 1/${2 ** view.zoom}`)
  return parts.join(' · ')
}

function formatX(x: number, axis: XAxis): string {
  if (axis === 'time') return formatDuration(x)
  return axis === 'epoch' ? `epoch ${x.toFixed(x < 10 ? 1 : 0)}` : `${Math.round(x)}`
}

const lastValue = (run: RunState, metric: string): number | undefined => run.last[metric] ?? run.series[metric]?.last

function valueAt(points: readonly ChartPoint[], x: number): number | undefined {
  return points.findLast((p) => p.x <= x)?.y
}

/** Points of a series along an axis. */
function pointsOf(run: RunState, series: Series, axis: XAxis): ChartPoint[] {
  const xOf = placeOf(run, axis)
  return bucketsOf(series).map((bucket) => {
    const point: ChartPoint = { x: xOf(bucket), y: bucketMean(bucket) }
    if (bucket.count > 1) {
      point.low = bucket.min
      point.high = bucket.max
    }
    return point
  })
}

/** Where a bucket stands on the axis. Time counts from the run's first number; an epoch needs the run to say `train/epoch`. */
function placeOf(run: RunState, axis: XAxis): (bucket: Bucket) => number {
  if (axis === 'time') {
    let start = Infinity
    for (const series of Object.values(run.series)) start = Math.min(start, firstBucket(series)?.time ?? Infinity)
    return ({ time }) => time - start
  }
  const scale = axis === 'epoch' ? (epochsPerStep(run) ?? 1) : 1
  return ({ step }) => step * scale
}

/** Epochs only where every run says how many steps one has. */
function axisOf(panels: readonly Panel[], wanted: XAxis): XAxis {
  const known = panels.every((panel) => panel.lines.every(({ run }) => epochsPerStep(run) !== null))
  return wanted === 'epoch' && !known ? 'step' : wanted
}

function epochsPerStep(run: RunState): number | null {
  const epochs = run.series['train/epoch']
  return epochs === undefined || epochs.lastStep <= 0 ? null : epochs.last / epochs.lastStep
}

/** The same part of the x-axis for all panels, so that what stands above each other belongs together. */
function xRange(panels: readonly Panel[], view: View): readonly [number, number] | null {
  let [low, high] = [Infinity, -Infinity]
  for (const { run, metric } of panels.flatMap((p) => p.lines)) {
    const series = run.series[metric]
    const first = series && firstBucket(series)
    const last = series && lastBucket(series)
    if (!(first && last)) continue
    const xOf = placeOf(run, view.xAxis)
    low = Math.min(low, xOf(first))
    high = Math.max(high, xOf(last))
  }
  if (low > high) return null
  return [high - (high - low) / 2 ** view.zoom, high]
}

export const padTo = (lines: readonly Line[], height: number): Line[] =>
  [...lines, ...Array.from({ length: Math.max(0, height - lines.length) }, () => EMPTY)].slice(0, height)
