import { formatDuration } from '../core/durations.ts'
import { plural, printable } from '../core/text.ts'
import type { Observe, PlannedPoint, Update } from '../core/updates.ts'
import { formatClock, formatMetric, formatRate, formatShare } from './format.ts'
import { isLive, rateOf, rowsOf, sessionEta, sessionProgress } from './pace.ts'
import { EMPTY_STATE, type LabState, logLine, reduceWithoutCurves } from './reducer.ts'

/**
 * The same stream for logs, pipes and screen readers: a line for each event worth reading, and how far it is every 30 s. What a run said
 * before somebody listened is left to `gvx logs`: here only what became of it is told.
 */

const PROGRESS_EVERY_MS = 30_000
const SLACK_MS = 5000

export type PlainPrinter = {
  observe: Observe
  /** Prints how far it is when the last such line is long ago; called once a second. */
  tick(): void
}

export function createPlainPrinter({ write, now }: { write: (line: string) => void; now: () => number }): PlainPrinter {
  let state = EMPTY_STATE
  let toldAt = Number.NEGATIVE_INFINITY
  const since = now()
  const say = (text: string) => write(`${formatClock(now())} ${printable(text)}\n`)
  return {
    observe(update) {
      const before = state
      state = reduceWithoutCurves(state, update)
      if (update.type === 'session' || update.type === 'run.attached')
        toldAt = Math.max(toldAt, now() - PROGRESS_EVERY_MS / 2)
      if (update.type === 'preparing' && !worthSaying(before, update, now() - toldAt)) return
      if (update.type === 'preparing') toldAt = now()
      for (const text of describe(newsOf(update, since), before, state)) say(text)
    },
    tick() {
      if (now() - toldAt < PROGRESS_EVERY_MS) return
      toldAt = now()
      const text = progressOf(state, now())
      if (text !== null) say(text)
    },
  }
}

/** The update without the events of before. Clocks of two machines differ by less than the slack, or their logs are told twice. */
function newsOf(update: Update, since: number): Update {
  if (update.type !== 'run.events') return update
  return { ...update, events: update.events.filter((event) => event.t >= since - SLACK_MS) }
}

/** The beginning and the end of a preparation, and every 30 s between. */
function worthSaying({ preparing }: LabState, update: Update & { type: 'preparing' }, silent: number): boolean {
  return (
    preparing === null || preparing.what !== update.what || update.done >= update.total || silent >= PROGRESS_EVERY_MS
  )
}

function describe(update: Update, before: LabState, after: LabState): string[] {
  switch (update.type) {
    case 'session': {
      const { title, question, points, jobs } = update
      const head = `${title}: ${plural(points.length, 'point')}, ${plural(jobs, 'job')}${question === '' ? '' : ` · ${question}`}`
      return [
        head,
        ...points.map((point) => `${nameOf(point)}: ${point.action}${point.reason === '' ? '' : `, ${point.reason}`}`),
      ]
    }
    case 'preparing':
      return [`preparing ${update.what}${update.total > 0 ? ` ${update.done}/${update.total}` : ''}`]
    case 'run.attached': {
      const from = update.resumedFrom > 0 ? `, from step ${update.resumedFrom}` : ''
      return [`${update.run} is ${update.key}${from}`]
    }
    case 'run.events':
      return update.events.flatMap((event) => {
        const line = logLine(event)
        if (line === null) return []
        // the status that follows says the same for a run that ends
        return event.type === 'run.finished'
          ? []
          : [`${named(after, update.run)} ${line.level === 'info' ? '' : `${line.level} `}${line.text}`]
      })
    case 'run.status': {
      const known = before.runs.get(update.run)
      const told = isLive(update.status) || update.status === 'queued'
      if (told || (known?.status === update.status && known.finishedAt === null)) return []
      return [
        `${named(after, update.run)} ${update.status}${update.reason === null ? '' : `: ${update.reason}`}${endOf(after, update.run)}`,
      ]
    }
    case 'message':
      return [update.level === 'info' ? update.text : `${update.level}: ${update.text}`]
    case 'session.done': {
      const { finished, failed, stopped, skipped } = update
      return [`done: ${finished} finished, ${failed} failed, ${stopped} stopped, ${skipped} skipped`]
    }
    default:
      return []
  }
}

const nameOf = ({ key }: PlannedPoint): string => key

function named(state: LabState, run: string): string {
  const key = state.runs.get(run)?.key
  return key === null || key === undefined || key === run ? run : `${run} ${key}`
}

function endOf(state: LabState, name: string): string {
  const run = state.runs.get(name)
  if (run === undefined || run.startedAt === null || run.finishedAt === null) return ''
  return ` at step ${run.step} after ${formatDuration(run.finishedAt - run.startedAt)}`
}

/** `45 % · 12 min left · 2 running · run5 step 120/1000 loss 4.321 5.2 step/s`; null when nothing runs. */
function progressOf(state: LabState, now: number): string | null {
  const rows = rowsOf(state)
  const live = rows.filter((row) => isLive(row.status))
  if (live.length === 0) return null
  const eta = sessionEta(state, rows, now)
  const queued = rows.filter((row) => row.status === 'queued').length
  const parts = [
    `${formatShare(sessionProgress(rows))} of all steps`,
    Number.isNaN(eta) ? '' : `${formatDuration(eta)} left`,
    `${live.length} running${queued > 0 ? `, ${queued} queued` : ''}`,
    ...live.map(({ run, step, totalSteps, label }) => {
      const loss = run?.last['train/loss']
      const rate = run === null ? Number.NaN : rateOf(run)
      const facts = [
        `${run?.name ?? label} step ${step}/${totalSteps}`,
        loss === undefined ? '' : `loss ${formatMetric('train/loss', loss)}`,
        Number.isNaN(rate) ? '' : formatRate(rate),
      ]
      return facts.filter(Boolean).join(' ')
    }),
  ]
  return parts.filter(Boolean).join(' · ')
}
