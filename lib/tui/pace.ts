import type { PlannedPoint, RunStatus } from '../core/updates.ts'
import type { LabState, RunState } from './reducer.ts'

/** What can be derived from the state and the clock: statuses of points, rates, times left, alerts. */

/** A worker says something at least every 15 s; after this many ms without a word something is wrong. */
export const STALL_MS = 60_000

/** A line of the board: a planned point with its run, or a run that belongs to no plan. */
export type Row = {
  id: string
  label: string
  seed: number | null
  status: RunStatus
  /** In the plan as finished: nothing to do. */
  skipped: boolean
  reason: string
  run: RunState | null
  runName: string | null
  step: number
  totalSteps: number
  point: PlannedPoint | null
}

export function rowsOf(state: LabState): Row[] {
  const planned = state.points.map((point): Row => {
    const run = point.run === null ? null : (state.runs.get(point.run) ?? null)
    // what is left out because it failed or was given up says so
    const skipped = point.action === 'skip' && (run === null || run.status === 'finished')
    const status = skipped ? 'finished' : (run?.status ?? 'queued')
    const totalSteps = run?.totalSteps || point.totalSteps
    // known to have finished, while its log waits to be read
    const unread = run !== null && run.status === 'finished' && run.attempt === 0
    return {
      id: point.key,
      label: point.label,
      seed: point.seed,
      status,
      skipped,
      reason: run?.reason ?? point.reason,
      run,
      runName: point.run,
      step: skipped || unread ? totalSteps : (run?.step ?? 0),
      totalSteps,
      point,
    }
  })
  const known = new Set(state.points.map((point) => point.run))
  const others = [...state.runs.values()]
    .filter((run) => !known.has(run.name))
    .map(
      (run): Row => ({
        id: run.name,
        label: run.key ?? run.name,
        seed: null,
        status: run.status,
        skipped: false,
        reason: run.reason ?? '',
        run,
        runName: run.name,
        step: run.step,
        totalSteps: run.totalSteps,
        point: null,
      }),
    )
  return [...planned, ...others]
}

/** Steps a second over the last minutes, evaluations and checkpoints included; NaN before two events. */
export function rateOf(run: RunState): number {
  const first = run.pace[0]
  const last = run.pace.at(-1)
  if (!first || !last || last.time <= first.time || last.step <= first.step) return Number.NaN
  return (1000 * (last.step - first.step)) / (last.time - first.time)
}

/** Milliseconds until the run has made its steps, by its own recent rate; NaN when nothing is known. */
export function runEta(run: RunState, now: number): number {
  const left = run.totalSteps - run.step
  if (left <= 0) return 0
  const rate = rateOf(run)
  const sinceLast = run.seenAt === null ? 0 : Math.max(0, now - run.seenAt)
  return Number.isNaN(rate) ? Number.NaN : Math.max(0, (1000 * left) / rate - sinceLast)
}

export const isLive = (status: RunStatus): boolean => status === 'running' || status === 'starting'
export const isOver = (status: RunStatus): boolean => !isLive(status) && status !== 'queued'

/** Share of all the session's steps that are made, 0 to 1. */
export function sessionProgress(rows: readonly Row[]): number {
  const total = rows.reduce((sum, row) => sum + row.totalSteps, 0)
  const done = rows.reduce(
    (sum, row) => sum + (row.status === 'finished' ? row.totalSteps : Math.min(row.step, row.totalSteps)),
    0,
  )
  return total === 0 ? 0 : done / total
}

/** Milliseconds until the last point is over: running ones by their rate, queued ones one after the other on the free slots. */
export function sessionEta(state: LabState, rows: readonly Row[], now: number): number {
  const live = rows.filter((row) => isLive(row.status))
  const queued = rows.filter((row) => row.status === 'queued')
  if (live.length + queued.length === 0) return 0
  const rates = rows.map((row) => (row.run === null ? Number.NaN : meanRate(row.run))).filter(Number.isFinite)
  if (rates.length === 0) return Number.NaN
  const typical = rates.reduce((a, b) => a + b, 0) / rates.length
  const slots = live.map((row) => {
    const own = row.run === null ? Number.NaN : runEta(row.run, now)
    return Number.isNaN(own) ? (1000 * (row.totalSteps - row.step)) / typical : own
  })
  while (slots.length < Math.max(1, state.jobs)) slots.push(0)
  for (const row of queued) {
    slots.sort((a, b) => a - b)
    slots[0] += (1000 * row.totalSteps) / typical
  }
  return Math.max(...slots)
}

/** The recent rate, or that of the whole attempt once it is over. */
function meanRate(run: RunState): number {
  const recent = rateOf(run)
  if (!Number.isNaN(recent)) return recent
  const ms = (run.finishedAt ?? run.seenAt ?? 0) - (run.startedAt ?? 0)
  return ms > 0 && run.step > run.resumedFrom ? (1000 * (run.step - run.resumedFrom)) / ms : Number.NaN
}

export type Alert = { level: 'warning' | 'error'; run: string | null; text: string }

/** What somebody should look at, the worst first. */
export function alertsOf(rows: readonly Row[], now: number): Alert[] {
  const errors: Alert[] = []
  const warnings: Alert[] = []
  for (const { run, status, label, seed } of rows) {
    if (run === null) continue
    const who = `${run.name} ${label}${seed === null ? '' : ` seed ${seed}`}`
    if (status === 'failed' || status === 'lost') {
      const why = status === 'lost' ? 'its process is gone; it can be resumed' : (run.reason ?? 'see its log')
      errors.push({ level: 'error', run: run.name, text: `${who} ${status}: ${why}` })
      continue
    }
    if (run.notFinite !== null && isLive(status)) {
      const { metric, step } = run.notFinite
      errors.push({
        level: 'error',
        run: run.name,
        text: `${who}: ${metric} is not a finite number since step ${step}`,
      })
    }
    const silent = run.seenAt === null ? 0 : now - run.seenAt
    if (status === 'running' && silent > STALL_MS) {
      warnings.push({
        level: 'warning',
        run: run.name,
        text: `${who}: no sign of life for ${Math.round(silent / 1000)} s`,
      })
    }
  }
  return [...errors, ...warnings]
}
