import { formatDuration } from '../../core/durations.ts'
import { plural, printable } from '../../core/text.ts'
import { formatMetric, formatShare, pad, truncate, valueText } from '../format.ts'
import { EMPTY, type Line, line, SERIES_TONES, span, type Tone, truncateLine, wrap } from '../lines.ts'
import { alertsOf, isLive, type Row, runEta } from '../pace.ts'
import { baselinesOf, STATUS, scoreOf } from '../rows.ts'
import { type Column, tableLines, windowOf } from '../table.ts'
import { selectedRow } from '../view.ts'
import { padTo, panelLines } from './charts.ts'
import { type Compared, comparedPanels } from './compare.ts'
import type { Scene } from './scene.ts'

/** Charts on the board need so many lines that nothing else wants. */
const CHARTS_FROM = 9

/** Below this many columns a table says too little: each point becomes a card of two lines. */
const CARDS_BELOW = 50

/** The sweep: failures on top, a line for each point, and what is known of the selected one. */
export function boardLines(scene: Scene): Line[] {
  const { visible, view, width, height, rows, now } = scene
  const alerts = alertsOf(rows, now).slice(0, Math.max(1, Math.floor(height / 6)))
  const top: Line[] = alerts.map(({ level, text }) =>
    truncateLine(
      line(span(level === 'error' ? '✗ ' : '! ', level === 'error' ? 'bad' : 'warn'), printable(text)),
      width,
    ),
  )
  if (rows.length === 0) return [...top, ...emptyBoard(scene)]
  if (visible.length === 0) return [...top, EMPTY, line(span(`no point matches “${printable(view.filter)}”`, 'dim'))]

  const row = selectedRow(visible, view.selected)
  const at = row === null ? 0 : visible.indexOf(row)
  const cards = width < CARDS_BELOW
  const details = row !== null && height - top.length >= 12 && !cards ? detailLines(row, scene) : []
  const messages = messageLines(
    scene,
    Math.max(0, Math.min(3, height - top.length - details.length - visible.length - 3)),
  )
  const room = height - top.length - details.length - messages.length - 1
  const shown = windowOf(visible.length, Math.max(1, cards ? Math.floor(room / 2) : room), at)
  const part = visible.slice(shown.from, shown.to)
  const list = cards
    ? part.flatMap((r, i) => cardLines(r, scene, shown.from + i === at))
    : tableLines(part, columnsOf(scene, row), width, at - shown.from)
  const spare = height - top.length - list.length - details.length - messages.length
  return [...top, ...list, ...chartsBelow(scene, spare), ...messages, ...details].slice(0, height)
}

/** Losses and scores of the runs over each other, where the list leaves room for them. */
function chartsBelow(scene: Scene, height: number): Line[] {
  const { rows, view } = scene
  const drawn = rows.filter((row): row is Compared => row.run !== null && Object.keys(row.run.series).length > 0)
  const wanted = [
    ...drawn.filter((row) => view.marked.has(row.id)),
    ...drawn.filter((row) => isLive(row.status)),
    ...drawn,
  ]
  const some = [...new Set(wanted)].slice(0, SERIES_TONES.length).sort((a, b) => rows.indexOf(a) - rows.indexOf(b))
  if (height < CHARTS_FROM || some.length === 0) return padTo([], height)
  const panels = comparedPanels(some).slice(0, 2)
  const tall = Math.min(height - 1, 16)
  const still = { ...scene, view: { ...view, scroll: 0, cursor: null } }
  return padTo([...padTo([], height - tall - 1), ...panelLines(panels, still, tall)], height)
}

function emptyBoard({ state }: Scene): Line[] {
  if (state.preparing !== null) return [EMPTY, line(span('the runs appear here when the data is ready', 'dim'))]
  return [EMPTY, line(span('no runs yet', 'dim')), line(span('gvx sweep FILE or gvx train CONFIG starts one', 'dim'))]
}

function columnsOf({ view, now, rows }: Scene, selected: Row | null): Column<Row>[] {
  const anyEval = rows.some((row) => scoreOf(row.run) !== null)
  const columns: Column<Row>[] = [
    {
      title: '',
      priority: 0,
      cell: (row) => ({
        text: `${row === selected ? '▸' : ' '}${view.marked.has(row.id) ? '*' : ' '}${view.pinned.has(row.id) ? '^' : ' '}`,
      }),
    },
    { title: 'point', priority: 0, flexible: 10, cell: (row) => ({ text: printable(row.label) }) },
    {
      title: 'seed',
      priority: 1,
      align: 'right',
      cell: (row) => ({ text: row.seed === null ? '' : String(row.seed) }),
    },
    { title: 'run', priority: 3, cell: (row) => ({ text: row.runName ?? '–', tone: 'dim' }) },
    { title: 'status', priority: 0, cell: (row) => statusCell(row) },
    { title: '', priority: 4, cell: (row) => ({ text: bar(shareOf(row), 12), tone: STATUS[row.status].tone }) },
    { title: 'step', priority: 2, align: 'right', cell: (row) => ({ text: stepText(row) }) },
    {
      title: 'loss',
      priority: 5,
      align: 'right',
      cell: ({ run }) => {
        const loss = run?.last['train/loss']
        return {
          text: formatMetric('train/loss', loss),
          tone: loss !== undefined && !Number.isFinite(loss) ? 'bad' : 'plain',
        }
      },
    },
    { title: 'mIoU %', priority: 1, align: 'right', cell: (row) => scoreCell(row) },
    {
      title: 'left',
      priority: 2,
      align: 'right',
      cell: ({ run, status }) => ({ text: run !== null && isLive(status) ? formatDuration(runEta(run, now)) : '' }),
    },
  ]
  const anyLive = rows.some((row) => isLive(row.status))
  return columns.filter(({ title }) => (title === 'mIoU %' ? anyEval : title === 'left' ? anyLive : true))
}

const statusCell = (row: Row): { text: string; tone: Tone } => ({
  text: `${STATUS[row.status].sign} ${row.skipped ? 'skipped' : row.status}`,
  tone: row.skipped ? 'dim' : STATUS[row.status].tone,
})

function scoreCell(row: Row): { text: string; tone: Tone } {
  const score = scoreOf(row.run)
  if (score === null) return { text: '–', tone: 'dim' }
  return { text: formatMetric(score.metric, score.value), tone: score.final ? 'title' : 'plain' }
}

const shareOf = (row: Row): number => (row.totalSteps === 0 ? 0 : Math.min(1, row.step / row.totalSteps))
const stepText = (row: Row): string => (row.totalSteps === 0 ? String(row.step) : `${row.step}/${row.totalSteps}`)

/** A bar of `width` columns in half columns. */
export function bar(share: number, width: number): string {
  const halves = Math.round(2 * width * Math.max(0, Math.min(1, share)))
  const full = '━'.repeat(Math.floor(halves / 2)) + (halves % 2 === 1 ? '╸' : '')
  return pad(full, width).replaceAll(' ', '·')
}

function cardLines(row: Row, { width, view, now }: Scene, selected: boolean): Line[] {
  const score = scoreOf(row.run)
  const mark = `${selected ? '▸' : ' '}${view.marked.has(row.id) ? '*' : ''}`
  const name = `${mark}${printable(row.label)}${row.seed === null ? '' : ` #${row.seed}`}`
  const status = statusCell(row)
  const left = pad(name, Math.max(4, width - status.text.length - 1))
  const ms = row.run !== null && isLive(row.status) ? runEta(row.run, now) : Number.NaN
  const eta = Number.isNaN(ms) ? '' : ` ${formatDuration(ms)}`
  const facts = `  ${bar(shareOf(row), 8)} ${formatShare(shareOf(row))}${score === null ? '' : ` mIoU ${formatMetric(score.metric, score.value)}`}${eta}`
  return [
    line(span(left, selected ? 'selected' : 'title'), ' ', span(status.text, status.tone)),
    line(span(truncate(facts, width), 'dim')),
  ]
}

function messageLines({ state, width }: Scene, count: number): Line[] {
  if (count === 0) return []
  return state.messages.slice(-count).map(({ level, text }) => {
    const tone: Tone = level === 'error' ? 'bad' : level === 'warning' ? 'warn' : 'dim'
    return truncateLine(line(span(`${level === 'info' ? '·' : '!'} ${printable(text)}`, tone)), width)
  })
}

/** What differs for this point, where it runs and what its number means. */
function detailLines(row: Row, { width, rows }: Scene): Line[] {
  const { run, point } = row
  const out: Line[] = [line(span('─'.repeat(width), 'dim'))]
  const overrides = Object.entries(point?.overrides ?? {}).map(([key, value]) => `${key}=${valueText(value)}`)
  const name = [row.runName, row.label, row.seed === null ? null : `seed ${row.seed}`].filter(Boolean).join(' · ')
  out.push(
    truncateLine(line(span(printable(name), 'title'), '  ', span(printable(overrides.join('  ')), 'accent')), width),
  )
  const told = row.skipped || ['failed', 'lost', 'queued'].includes(row.status)
  const why = told ? row.reason : row.status === 'stopped' ? (run?.reason ?? '') : ''
  if (why !== '')
    out.push(
      ...wrap(printable(why), width)
        .slice(0, 2)
        .map((text) => line(span(text, row.skipped ? 'dim' : STATUS[row.status].tone))),
    )
  else if (run !== null) out.push(truncateLine(line(span(printable(factsOf(row)), 'dim')), width))
  const score = scoreOf(run)
  if (score !== null) {
    const beside = Object.entries(baselinesOf([...rows, row])).map(
      ([key, value]) => `${key} ${formatMetric(score.metric, value)}`,
    )
    const when = score.final ? 'final' : `best, step ${score.step}`
    const text = `mIoU ${formatMetric(score.metric, score.value)} % (${when})${beside.length > 0 ? ` · ${beside.join(' · ')}` : ''}`
    out.push(truncateLine(line(printable(text)), width))
  }
  return out
}

function factsOf({ run }: Row): string {
  if (run === null) return ''
  const checkpoint = run.checkpoint === null ? 'no checkpoint yet' : `checkpoint at step ${run.checkpoint.step}`
  return [run.where, run.host, checkpoint, run.warnings > 0 ? plural(run.warnings, 'warning') : '']
    .filter(Boolean)
    .join(' · ')
}
