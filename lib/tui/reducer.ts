import type { EvalFinished, LoggedEvent, MetricValues } from '../core/events.ts'
import { plural } from '../core/text.ts'
import type { PlannedPoint, RunStatus, Update } from '../core/updates.ts'
import { addPoints, cutSeries, EMPTY_SERIES, type Point, SERIES_CAP, type Series } from './series.ts'

/**
 * What the screen and the plain printer know: a pure fold of the stream of updates, in bounded memory.
 * Folding the same events in other batches gives the same state.
 */
export type LabState = {
  title: string
  question: string
  file: string | null
  jobs: number
  points: readonly PlannedPoint[]
  preparing: { what: string; done: number; total: number } | null
  /** By run name, in the order they appeared. */
  runs: ReadonlyMap<string, RunState>
  messages: readonly Message[]
  /** Set once the session has ended. */
  done: Summary | null
}

export type Message = { level: 'info' | 'warning' | 'error'; text: string }
export type Summary = { finished: number; failed: number; stopped: number; skipped: number }

export type RunState = {
  name: string
  /** Key of the point it stands for; null for a run outside of a sweep. */
  key: string | null
  status: RunStatus
  reason: string | null
  attempt: number
  resumedFrom: number
  step: number
  totalSteps: number
  /** `wasm · cpu · 2 threads`. */
  where: string
  host: string
  pid: number
  /** Time of this attempt's first and latest event, ms since the epoch by the worker's clock. */
  startedAt: number | null
  seenAt: number | null
  finishedAt: number | null
  /** Of the latest events that move the step, for the rate. */
  pace: readonly { step: number; time: number }[]
  series: Readonly<Record<string, Series>>
  last: Readonly<MetricValues>
  /** Latest evaluation of each purpose and dataset, `final/voc`. */
  evals: Readonly<Record<string, EvalFinished>>
  /** Best value of each metric of the evaluations during training. */
  best: Readonly<Record<string, { value: number; step: number }>>
  checkpoint: { step: number; bytes: number; best: boolean } | null
  samples: readonly { step: number; sample: string; file: string }[]
  warnings: number
  /** First step at which a metric was not a finite number, and which one. */
  notFinite: { step: number; metric: string } | null
  log: readonly LogLine[]
}

export type LogLine = { time: number; level: 'info' | 'warning' | 'error'; text: string }

export const LOG_CAP = 400
const PACE_CAP = 64
const MANY_RUNS = 100
const SAMPLES_CAP = 32

export const EMPTY_STATE: LabState = {
  title: '',
  question: '',
  file: null,
  jobs: 1,
  points: [],
  preparing: null,
  runs: new Map(),
  messages: [],
  done: null,
}

/** The state after one more update. */
export const reduce = (state: LabState, update: Update): LabState => fold(state, update, true)

/** The same with every `series` empty, for who draws none. */
export const reduceWithoutCurves = (state: LabState, update: Update): LabState => fold(state, update, false)

function fold(state: LabState, update: Update, curves: boolean): LabState {
  switch (update.type) {
    case 'session': {
      const { title, question, file, jobs, points } = update
      return { ...state, title, question, file, jobs, points, done: null }
    }
    case 'preparing': {
      const over = update.total > 0 && update.done >= update.total
      return { ...state, preparing: over ? null : { what: update.what, done: update.done, total: update.total } }
    }
    case 'run.attached': {
      const points = state.points.map((point) => (point.key === update.key ? { ...point, run: update.run } : point))
      const run = changeRun({ ...state, points }, update.run, (r) => ({ ...r, key: update.key }))
      return { ...run, points, preparing: null }
    }
    case 'run.events':
      return changeRun(state, update.run, (run) =>
        addEvents(run, update.events, curves ? bucketsFor(state.runs.size) : 0),
      )
    case 'run.status':
      return changeRun(state, update.run, (run) => ({ ...run, status: update.status, reason: update.reason }))
    case 'message':
      return { ...state, messages: [...state.messages, { level: update.level, text: update.text }].slice(-LOG_CAP) }
    case 'session.done': {
      const { finished, failed, stopped, skipped } = update
      return { ...state, preparing: null, done: { finished, failed, stopped, skipped } }
    }
    default:
      // a newer stream may say more than this version knows
      return state
  }
}

function changeRun(state: LabState, name: string, change: (run: RunState) => RunState): LabState {
  const runs = new Map(state.runs)
  runs.set(name, change(runs.get(name) ?? newRun(name, state.points)))
  return { ...state, runs }
}

function newRun(name: string, points: readonly PlannedPoint[]): RunState {
  const point = points.find((p) => p.run === name)
  return {
    name,
    key: point?.key ?? null,
    status: 'starting',
    reason: null,
    attempt: 0,
    resumedFrom: 0,
    step: 0,
    totalSteps: point?.totalSteps ?? 0,
    where: '',
    host: '',
    pid: 0,
    startedAt: null,
    seenAt: null,
    finishedAt: null,
    pace: [],
    series: {},
    last: {},
    evals: {},
    best: {},
    checkpoint: null,
    samples: [],
    warnings: 0,
    notFinite: null,
    log: [],
  }
}

/** Where there are hundreds of runs, few are looked at closely: a quarter of the buckets is a quarter of the memory. */
const bucketsFor = (runs: number): number => (runs > MANY_RUNS ? SERIES_CAP / 4 : SERIES_CAP)

/**
 * A whole batch at once: points are collected by metric.
 * @param buckets most buckets of a series; 0 for no series at all
 */
function addEvents(run: RunState, events: readonly LoggedEvent[], buckets: number): RunState {
  const pending = new Map<string, Point[]>()
  const collect = (name: string, point: Point) => {
    if (buckets === 0) return
    const points = pending.get(name)
    if (points) points.push(point)
    else pending.set(name, [point])
  }
  const flush = (into: RunState): RunState => {
    if (pending.size === 0) return into
    const series = { ...into.series }
    for (const [name, points] of pending) series[name] = addPoints(series[name] ?? EMPTY_SERIES, points, buckets)
    pending.clear()
    return { ...into, series }
  }
  const pace = [...run.pace]
  const log = [...run.log]
  let next: RunState = { ...run, pace, log }
  for (const event of events) {
    if (event.type === 'run.started') next = restart(flush(next), event)
    next.seenAt = event.t
    const step = 'step' in event ? event.step : event.resumedFrom
    if (step > next.step) next.step = step
    if (event.type === 'metric' || event.type === 'run.heartbeat') pace.push({ step, time: event.t })
    const line = logLine(event)
    if (line) log.push(line)
    takeEvent(next, event, collect)
    if (event.type === 'run.started') pace.splice(0, pace.length, { step: event.resumedFrom, time: event.t })
    if (pace.length > PACE_CAP) pace.shift()
    if (log.length > LOG_CAP) log.shift()
    next.pace = pace
    next.log = log
  }
  return flush(next)
}

/** A new attempt goes on from `resumedFrom`: what earlier attempts said beyond it is superseded. */
function restart(run: RunState, event: LoggedEvent & { type: 'run.started' }): RunState {
  const series = Object.fromEntries(
    Object.entries(run.series).map(([name, points]) => [name, cutSeries(points, event.resumedFrom)]),
  )
  const best = Object.fromEntries(Object.entries(run.best).filter(([, at]) => at.step <= event.resumedFrom))
  const stale = run.notFinite !== null && run.notFinite.step > event.resumedFrom
  return {
    ...run,
    series,
    best,
    step: event.resumedFrom,
    status: 'running',
    reason: null,
    finishedAt: null,
    notFinite: stale ? null : run.notFinite,
  }
}

/** Writes into `run`, which is this batch's own copy. */
function takeEvent(run: RunState, event: LoggedEvent, collect: (name: string, point: Point) => void): void {
  switch (event.type) {
    case 'run.started':
      run.attempt = event.attempt
      run.resumedFrom = event.resumedFrom
      run.totalSteps = event.totalSteps
      run.startedAt = event.t
      run.host = event.host
      run.pid = event.pid
      run.where = [
        event.backend,
        event.device,
        ...(/thread/.test(event.device) ? [] : [plural(event.threads, 'thread')]),
      ].join(' · ')
      break
    case 'metric': {
      for (const [name, value] of Object.entries(event.values)) {
        collect(name, { step: event.step, time: event.t, value })
        if (!Number.isFinite(value)) run.notFinite ??= { step: event.step, metric: name }
      }
      run.last = { ...run.last, ...event.values }
      break
    }
    case 'eval.finished': {
      run.evals = { ...run.evals, [`${event.purpose}/${event.dataset}`]: withoutTime(event) }
      if (event.purpose === 'final') break
      const best = { ...run.best }
      for (const [name, value] of Object.entries(event.values)) {
        const metric = `eval/${event.dataset}/${name}`
        collect(metric, { step: event.step, time: event.t, value })
        if (Number.isFinite(value) && !(best[metric]?.value >= value)) best[metric] = { value, step: event.step }
      }
      run.best = best
      break
    }
    case 'checkpoint.saved':
      run.checkpoint = { step: event.step, bytes: event.bytes, best: event.best }
      break
    case 'sample.segmented': {
      const { step, sample, file } = event
      run.samples = [...run.samples, { step, sample, file }].slice(-SAMPLES_CAP)
      break
    }
    case 'warning':
      run.warnings += 1
      break
    case 'run.finished':
      run.status = event.status
      run.reason = event.error
      run.finishedAt = event.t
      break
    case 'run.heartbeat':
      break
    default:
      event satisfies never
  }
}

function withoutTime(event: LoggedEvent & { type: 'eval.finished' }): EvalFinished {
  const { t: _, ...rest } = event
  return rest
}

/** What the log screen and the plain printer say about an event; null for what only moves a number. */
export function logLine(event: LoggedEvent): LogLine | null {
  const text = describeEvent(event)
  if (text === null) return null
  const failed = event.type === 'run.finished' && event.status === 'failed'
  return { time: event.t, level: failed ? 'error' : event.type === 'warning' ? 'warning' : 'info', text }
}

function describeEvent(event: LoggedEvent): string | null {
  switch (event.type) {
    case 'run.started': {
      const begin = event.resumedFrom > 0 ? `resumed from step ${event.resumedFrom}` : 'started'
      const device = /thread/.test(event.device) ? event.device : `${event.device}, ${plural(event.threads, 'thread')}`
      return `${begin} on ${event.backend} (${device}), ${event.host} pid ${event.pid}`
    }
    case 'eval.finished': {
      const values = Object.entries(event.values)
        .slice(0, 3)
        .map(([name, value]) => `${name} ${Number.isFinite(value) ? (100 * value).toFixed(1) : value}`)
      const beside = Object.entries(event.baselines).map(([name, value]) => `${name} ${(100 * value).toFixed(1)}`)
      const baselines = beside.length > 0 ? ` (${beside.join(', ')})` : ''
      return `step ${event.step}: ${event.purpose} ${event.dataset} ${values.join(', ')}${baselines}, ${event.images} images in ${event.seconds.toFixed(1)} s`
    }
    case 'checkpoint.saved':
      return `step ${event.step}: checkpoint${event.best ? ', the best so far' : ''} (${(event.bytes / 1e6).toFixed(1)} MB)`
    case 'warning':
      return `step ${event.step}: ${event.code}: ${event.message}`
    case 'run.finished':
      return `${event.status} at step ${event.step}${event.error ? `: ${event.error}` : ''}`
    case 'metric':
    case 'run.heartbeat':
    case 'sample.segmented':
      return null
    default:
      return event satisfies never
  }
}
