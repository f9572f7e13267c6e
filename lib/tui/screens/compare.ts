import { printable } from '../../core/text.ts'
import { formatMetric, valueText } from '../format.ts'
import { EMPTY, type Line, line, SERIES_TONES, span, truncateLine } from '../lines.ts'
import type { Row } from '../pace.ts'
import type { RunState } from '../reducer.ts'
import { scoreOf } from '../rows.ts'
import { type Column, tableLines } from '../table.ts'
import { chartSettings, type Panel, padTo, panelLines } from './charts.ts'
import type { Scene } from './scene.ts'

export type Compared = Row & { run: RunState }

/** As many as there are colours to tell apart. */
const MOST = SERIES_TONES.length

/** The marked runs over each other: what differs between them, and their curves. */
export function compareLines(scene: Scene): Line[] {
  const { rows, view, width, height } = scene
  const withRun = rows.filter((row): row is Compared => row.run !== null)
  const marked = withRun.filter((row) => view.marked.has(row.id))
  const compared = (marked.length > 0 ? marked : withRun).slice(0, MOST)
  if (compared.length === 0)
    return [EMPTY, line(span('nothing to compare yet: mark runs with space on the board', 'dim'))]
  const hint =
    marked.length === 0
      ? `all runs${withRun.length > MOST ? ` (the first ${MOST})` : ''}; space marks some, on the board`
      : `${compared.length} marked${marked.length > MOST ? ` (the first ${MOST} of ${marked.length})` : ''}`
  const settings = chartSettings(view)
  const head = truncateLine(line(span(hint, 'dim'), span(settings === '' ? '' : `  [${settings}]`, 'accent')), width)
  const table = tableLines(compared, columnsOf(compared), width).slice(0, Math.max(3, Math.floor(height / 2)))
  const panels = comparedPanels(compared)
  const body = panelLines(panels, scene, height - 2 - table.length)
  return padTo([head, ...table, EMPTY, ...body], height)
}

/** Only the keys whose values are not the same for all. */
function changedKeys(rows: readonly Row[]): string[] {
  const keys = new Set(rows.flatMap((row) => Object.keys(row.point?.overrides ?? {})))
  return [...keys].filter((key) => new Set(rows.map((row) => overrideOf(row, key))).size > 1)
}

const overrideOf = (row: Row, key: string): string => {
  const value = row.point?.overrides[key]
  return value === undefined ? '–' : valueText(value)
}

function columnsOf(rows: readonly Compared[]): Column<Compared>[] {
  return [
    {
      title: '',
      priority: 0,
      cell: (row) => ({ text: '━━', tone: SERIES_TONES[rows.indexOf(row) % MOST] }),
    },
    { title: 'run', priority: 1, cell: (row) => ({ text: row.run.name }) },
    { title: 'point', priority: 0, flexible: 10, cell: (row) => ({ text: printable(row.label) }) },
    {
      title: 'seed',
      priority: 2,
      align: 'right',
      cell: (row) => ({ text: row.seed === null ? '' : String(row.seed) }),
    },
    { title: 'step', priority: 4, align: 'right', cell: ({ run }) => ({ text: String(run.step) }) },
    {
      title: 'loss',
      priority: 3,
      align: 'right',
      cell: ({ run }) => ({ text: formatMetric('train/loss', run.last['train/loss']) }),
    },
    {
      title: 'mIoU %',
      priority: 0,
      align: 'right',
      cell: ({ run }) => {
        const score = scoreOf(run)
        return {
          text: score === null ? '–' : formatMetric(score.metric, score.value),
          tone: score?.final ? 'title' : 'plain',
        }
      },
    },
    ...changedKeys(rows).map(
      (key, i): Column<Compared> => ({
        title: key,
        priority: 5 + i,
        cell: (row) => ({ text: printable(overrideOf(row, key)), tone: 'accent' }),
      }),
    ),
  ]
}

/** A panel for each metric that is worth comparing. */
export function comparedPanels(rows: readonly Compared[]): Panel[] {
  const metrics = new Set(rows.flatMap((row) => Object.keys(row.run.series)))
  const scores = [...metrics].filter((metric) => /^eval\/.*\/mIoU$/.test(metric))
  const wanted = [
    'train/loss',
    ...scores,
    'train/contrastive',
    'train/multiLabel',
    'optim/gradNorm',
    'optim/learningRate',
  ]
  return wanted
    .filter((metric) => metrics.has(metric))
    .map((metric) => ({
      title: metric.replace(/^.*\//, ''),
      lines: rows.map(({ run }) => ({ name: run.name, run, metric })),
    }))
}
