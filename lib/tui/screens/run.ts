import { formatDuration } from '../../core/durations.ts'
import { printable } from '../../core/text.ts'
import { formatBytes, formatMetric, formatRate, formatShare } from '../format.ts'
import { EMPTY, type Line, line, type Span, span, truncateLine } from '../lines.ts'
import { alertsOf, isLive, type Row, rateOf, runEta } from '../pace.ts'
import type { RunState } from '../reducer.ts'
import { STATUS, scoreOf } from '../rows.ts'
import { selectedRow } from '../view.ts'
import { chartSettings, type Panel, padTo, panelLines } from './charts.ts'
import type { Scene } from './scene.ts'

/** One run: its facts and the charts of everything it measures. */
export function runLines(scene: Scene): Line[] {
  const { visible, view, width, height, now } = scene
  const row = selectedRow(visible, view.selected)
  if (row === null) return [EMPTY, line(span('no run is selected', 'dim'))]
  const head = headLines(row, scene)
  if (row.run === null) {
    return [...head, EMPTY, line(span(row.skipped ? printable(row.reason) : 'this point has not started yet', 'dim'))]
  }
  const alerts = alertsOf([row], now).map(({ text }) => truncateLine(line(span(`✗ ${printable(text)}`, 'bad')), width))
  const body = panelLines(panelsOf(row.run), scene, height - head.length - alerts.length)
  return padTo([...head, ...alerts, ...body], height)
}

function headLines(row: Row, { width, now, view }: Scene): Line[] {
  const { run } = row
  const status = STATUS[row.status]
  const name = [row.runName, row.label, row.seed === null ? null : `seed ${row.seed}`].filter(Boolean).join(' · ')
  const share = row.totalSteps === 0 ? 0 : row.step / row.totalSteps
  const left = run !== null && isLive(row.status) ? ` · ${formatDuration(runEta(run, now))} left` : ''
  const first = line(
    span(printable(name), 'title'),
    '  ',
    span(`${status.sign} ${row.skipped ? 'skipped' : row.status}`, status.tone),
    `  step ${row.step}/${row.totalSteps} · ${formatShare(share)}${left}`,
  )
  if (run === null) return [truncateLine(first, width)]
  const score = scoreOf(run)
  const facts = [
    formatRate(rateOf(run)),
    score === null ? null : `${score.final ? 'final' : 'best'} mIoU ${formatMetric(score.metric, score.value)} %`,
    run.checkpoint === null ? null : `checkpoint ${run.checkpoint.step} (${formatBytes(run.checkpoint.bytes)})`,
    run.where,
  ].filter((fact) => fact !== null && fact !== '' && fact !== '–')
  const settings = chartSettings(view)
  const second: Span[] = [
    span(settings === '' ? '' : `[${settings}]  `, 'accent'),
    span(printable(facts.join(' · ')), 'dim'),
  ]
  return [truncateLine(first, width), truncateLine(second, width)]
}

/** Metrics of a run by what is read together. Those that nobody named get a panel each at the end. */
function panelsOf(run: RunState): Panel[] {
  const taken = new Set<string>(['train/epoch'])
  const take = (title: string, test: (metric: string) => boolean, unit?: string): Panel => {
    const metrics = Object.keys(run.series).filter((metric) => !taken.has(metric) && test(metric))
    for (const metric of metrics) taken.add(metric)
    return { title, unit, lines: metrics.map((metric) => ({ name: metric.replace(/^.*\//, ''), run, metric })) }
  }
  const panels = [
    take('losses', (m) => /^train\/(loss|contrastive|multiLabel)$/.test(m)),
    take('mIoU', (m) => /^eval\/.*\/mIoU/.test(m), '%'),
    take('learning rate', (m) => m === 'optim/learningRate'),
    take('gradient norm', (m) => m === 'optim/gradNorm'),
    take('throughput', (m) => m === 'perf/imagesPerSecond', 'images/s'),
    take('data wait', (m) => m === 'perf/dataWait', 's'),
  ]
  const others = Object.keys(run.series)
    .filter((metric) => !taken.has(metric) && !metric.startsWith('eval/'))
    .map((metric): Panel => ({ title: metric, lines: [{ name: metric, run, metric }] }))
  return [...panels, ...others]
}
