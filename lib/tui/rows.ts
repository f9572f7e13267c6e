import type { EvalFinished } from '../core/events.ts'
import type { RunStatus } from '../core/updates.ts'
import type { Tone } from './lines.ts'
import type { Row } from './pace.ts'
import type { RunState } from './reducer.ts'
import type { View } from './view.ts'

/** How a status is written: a sign, a word and a tone, so that none of the three is needed alone. */
export const STATUS: Record<RunStatus, { sign: string; tone: Tone; rank: number }> = {
  failed: { sign: '✗', tone: 'bad', rank: 0 },
  lost: { sign: '?', tone: 'bad', rank: 1 },
  running: { sign: '●', tone: 'accent', rank: 2 },
  starting: { sign: '◌', tone: 'accent', rank: 3 },
  stopped: { sign: '■', tone: 'warn', rank: 4 },
  preempted: { sign: '↺', tone: 'warn', rank: 5 },
  queued: { sign: '○', tone: 'dim', rank: 6 },
  finished: { sign: '✓', tone: 'good', rank: 7 },
}

/** The rows a list shows, in its order: filtered, failures first, then pinned ones, then by the chosen column. */
export function visibleRows(rows: readonly Row[], view: Pick<View, 'filter' | 'sort' | 'pinned'>): Row[] {
  const words = view.filter.toLowerCase().split(/\s+/).filter(Boolean)
  const kept = rows.filter((row) => {
    const text = `${row.label} ${row.runName ?? ''} ${row.status} seed=${row.seed ?? ''}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
  const top = (row: Row) => (row.status === 'failed' || row.status === 'lost' ? 0 : view.pinned.has(row.id) ? 1 : 2)
  const key = (row: Row): number => {
    if (view.sort === 'status') return STATUS[row.status].rank
    if (view.sort === 'progress') return row.totalSteps === 0 ? 0 : -row.step / row.totalSteps
    return view.sort === 'score' ? -(scoreOf(row.run)?.value ?? -Infinity) : 0
  }
  return kept
    .map((row, order) => ({ row, order }))
    .sort((a, b) => top(a.row) - top(b.row) || compareNumbers(key(a.row), key(b.row)) || a.order - b.order)
    .map(({ row }) => row)
}

// Infinity - Infinity is NaN, which a sort takes for anything
const compareNumbers = (a: number, b: number): number => (a === b ? 0 : a < b ? -1 : 1)

export type Score = { value: number; step: number; final: boolean; metric: string }

/** The mIoU of a run: that of the final evaluation, else the best during training. */
export function scoreOf(run: RunState | null): Score | null {
  if (run === null) return null
  for (const [key, evaluation] of Object.entries(run.evals)) {
    const value = evaluation.values.mIoU
    if (key.startsWith('final/') && value !== undefined)
      return { value, step: evaluation.step, final: true, metric: `eval/${evaluation.dataset}/mIoU` }
  }
  for (const [metric, best] of Object.entries(run.best)) {
    if (metric.endsWith('/mIoU')) return { ...best, final: false, metric }
  }
  return null
}

/** The latest evaluation that knows what any mIoU has to be compared with. */
export function baselinesOf(rows: readonly Row[]): EvalFinished['baselines'] {
  const evals = rows.flatMap((row) => Object.values(row.run?.evals ?? {}))
  return Object.assign({}, ...evals.map((e) => e.baselines))
}
