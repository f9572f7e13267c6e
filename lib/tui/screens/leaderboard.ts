import { printable } from '../../core/text.ts'
import { formatMetric } from '../format.ts'
import { EMPTY, type Line, line, span, wrap } from '../lines.ts'
import type { Row } from '../pace.ts'
import { baselinesOf, scoreOf } from '../rows.ts'
import { type Column, tableLines, windowOf } from '../table.ts'
import { selectedRow } from '../view.ts'
import { padTo } from './charts.ts'
import type { Scene } from './scene.ts'

/** All seeds of a label as one entry. */
export type Standing = {
  label: string
  mean: number
  /** Of the sample (n - 1); NaN for a single seed. */
  std: number
  scores: readonly number[]
  /** Runs of the label that have no number yet. */
  waiting: number
  /** Every number is of a final evaluation. */
  final: boolean
  ids: readonly string[]
}

/** Labels by their mean over seeds, the best first; those without a number at the end. */
function standingsOf(rows: readonly Row[]): Standing[] {
  const labels = [...new Set(rows.map((row) => row.label))]
  const standings = labels.map((label): Standing => {
    const group = rows.filter((row) => row.label === label)
    const found = group.map((row) => scoreOf(row.run)).filter((score) => score !== null)
    const scores = found.map((score) => score.value)
    const mean = scores.reduce((a, b) => a + b, 0) / scores.length
    const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / (scores.length - 1)
    return {
      label,
      mean,
      std: scores.length > 1 ? Math.sqrt(variance) : Number.NaN,
      scores,
      waiting: group.length - scores.length,
      final: found.every((score) => score.final),
      ids: group.map((row) => row.id),
    }
  })
  const rank = (s: Standing) => (Number.isFinite(s.mean) ? s.mean : -Infinity)
  return standings.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) > rank(a) ? 1 : -1))
}

export function leaderboardLines(scene: Scene): Line[] {
  const { rows, visible, view, width, height } = scene
  const standings = standingsOf(rows)
  if (standings.every((s) => s.scores.length === 0)) {
    return [EMPTY, line(span('no evaluation has finished yet', 'dim'))]
  }
  const row = selectedRow(visible, view.selected)
  const at = standings.findIndex((s) => row !== null && s.ids.includes(row.id))
  const baselines = Object.entries(baselinesOf(rows)).map(([name, value]) => `${name} ${formatMetric('mIoU', value)}`)
  const provisional = standings.some((s) => s.scores.length > 0 && !s.final)
  const note = (text: string) => wrap(text, width).map((part) => line(span(part, 'dim')))
  const foot: Line[] = [
    EMPTY,
    ...(baselines.length > 0 ? note(`for comparison: ${baselines.join(' · ')}`) : []),
    ...(provisional ? note('~ best so far during training, on a subset of the images') : []),
  ]
  const room = Math.max(1, height - 1 - foot.length)
  const shown = windowOf(standings.length, room, at)
  const table = tableLines(standings.slice(shown.from, shown.to), columnsOf(standings), width, at - shown.from)
  return padTo([...table, ...foot], height)
}

function columnsOf(standings: readonly Standing[]): Column<Standing>[] {
  const best = standings[0].mean
  const known = (s: Standing) => s.scores.length > 0
  const columns: Column<Standing>[] = [
    {
      title: '#',
      priority: 1,
      align: 'right',
      cell: (s) => ({ text: known(s) ? String(standings.indexOf(s) + 1) : '' }),
    },
    { title: 'point', priority: 0, flexible: 10, cell: (s) => ({ text: printable(s.label) }) },
    {
      title: 'mIoU %',
      priority: 0,
      align: 'right',
      cell: (s) => ({
        text: known(s)
          ? `${s.final ? '' : '~'}${formatMetric('mIoU', s.mean)}${Number.isFinite(s.std) ? ` ± ${formatMetric('mIoU', s.std)}` : ''}`
          : '–',
        tone: known(s) ? 'title' : 'dim',
      }),
    },
    { title: 'n', priority: 1, align: 'right', cell: (s) => ({ text: String(s.scores.length) }) },
    {
      title: 'Δ',
      priority: 2,
      align: 'right',
      cell: (s) => ({ text: known(s) && s.mean !== best ? formatMetric('mIoU', s.mean - best) : '' }),
    },
    {
      title: 'seeds',
      priority: 4,
      cell: (s) => ({ text: s.scores.map((score) => formatMetric('mIoU', score)).join(' '), tone: 'dim' }),
    },
    {
      title: 'waiting',
      priority: 3,
      align: 'right',
      cell: (s) => ({ text: s.waiting > 0 ? String(s.waiting) : '', tone: 'dim' }),
    },
  ]
  return columns.filter(({ title }) => title !== 'waiting' || standings.some(({ waiting }) => waiting > 0))
}
