import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LoggedEvent } from '../../lib/core/events.ts'
import type { Update } from '../../lib/core/updates.ts'
import { alertsOf, rowsOf, runEta, STALL_MS, sessionEta, sessionProgress } from '../../lib/tui/pace.ts'
import { EMPTY_STATE, type LabState, LOG_CAP, reduce } from '../../lib/tui/reducer.ts'
import { scoreOf, visibleRows } from '../../lib/tui/rows.ts'
import { addPoints, bucketsOf, cutSeries, EMPTY_SERIES, type Series } from '../../lib/tui/series.ts'
import { evaluation, eventsOf, NOON, POINTS, sweepUpdates } from './updates.ts'

const fold = (updates: readonly Update[]): LabState => updates.reduce(reduce, EMPTY_STATE)
const column = (series: Series, name: 'step' | 'min' | 'max' | 'finite' | 'count') =>
  bucketsOf(series).map((bucket) => bucket[name])
const ofRun = (events: LoggedEvent[]): Update => ({ type: 'run.events', run: 'run9', events })

const HISTORY = [
  ...eventsOf(9, 0, 700),
  ...eventsOf(9, 500, 1000, NOON + 90_000),
  evaluation(1000, NOON + 150_000, 0.4, 'final'),
]

test('among hundreds of runs each keeps fewer points of its curves, and no spike is lost', () => {
  const crowd = Array.from(
    { length: 101 },
    (_, i): Update => ({
      type: 'run.attached',
      key: `k${i}`,
      run: `other${i}`,
      resumedFrom: 0,
    }),
  )
  const spike: LoggedEvent[] = Array.from({ length: 600 }, (_, i) => ({
    type: 'metric',
    t: NOON + i,
    step: i + 1,
    values: { 'train/loss': i === 333 ? 99 : 1 },
  }))
  const alone = fold([ofRun(spike)]).runs.get('run9')!.series['train/loss']
  const among = fold([...crowd, ofRun(spike)]).runs.get('run9')!.series['train/loss']
  expect(column(alone, 'step').length).toBeGreaterThan(128)
  expect(column(among, 'step').length).toBeLessThanOrEqual(128)
  expect(Math.max(...column(among, 'max'))).toBe(99)
})

test('any batching of the events gives the same state', () => {
  const whole = fold([ofRun(HISTORY)])
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: HISTORY.length - 1 }), { maxLength: 12 }), (cuts) => {
      const edges = [0, ...[...new Set(cuts)].sort((a, b) => a - b), HISTORY.length]
      const batches = edges.slice(1).map((end, i) => ofRun(HISTORY.slice(edges[i], end)))
      expect(fold(batches)).toEqual(whole)
    }),
    { numRuns: 40 },
  )
})

test('a series keeps its extremes, its mean and every NaN however many points it gets', () => {
  const value = fc.oneof(
    { weight: 9, arbitrary: fc.double({ noNaN: true, min: -1e6, max: 1e6 }) },
    { weight: 1, arbitrary: fc.constant(Number.NaN) },
  )
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 300 }), (values) => {
      const series = addPoints(
        EMPTY_SERIES,
        values.map((v, step) => ({ step, time: step, value: v })),
        16,
      )
      const finite = values.filter(Number.isFinite)
      expect(column(series, 'step').length).toBeLessThanOrEqual(16)
      expect(column(series, 'count').reduce((a, b) => a + b, 0)).toBe(values.length)
      expect(column(series, 'finite').reduce((a, b) => a + b, 0)).toBe(finite.length)
      if (finite.length === 0) return
      expect(Math.min(...column(series, 'min').filter(Number.isFinite))).toBe(Math.min(...finite))
      expect(Math.max(...column(series, 'max').filter(Number.isFinite))).toBe(Math.max(...finite))
    }),
  )
})

test('a repeated point changes nothing, and a cut series goes on from the checkpoint', () => {
  const points = [10, 20, 30].map((step) => ({ step, time: step, value: step }))
  const series = addPoints(EMPTY_SERIES, points)
  expect(addPoints(series, points)).toEqual(series)
  const resumed = addPoints(cutSeries(series, 20), [{ step: 25, time: 99, value: 7 }])
  expect(column(resumed, 'step')).toEqual([10, 20, 25])
  expect(resumed.last).toBe(7)
})

test('a series that grew is not changed by what grows out of it, nor by another that does', () => {
  const upTo = (n: number, from = 0) =>
    Array.from({ length: n - from }, (_, i) => ({ step: from + i, time: 0, value: from + i }))
  for (const n of [3, 16, 21, 40]) {
    const series = addPoints(EMPTY_SERIES, upTo(n), 16)
    const before = bucketsOf(series)
    const one = addPoints(series, upTo(n + 7, n), 16)
    const other = addPoints(series, [{ step: 1000, time: 0, value: -1 }], 16)
    expect(bucketsOf(series)).toEqual(before)
    expect(bucketsOf(one)).toEqual(bucketsOf(addPoints(EMPTY_SERIES, upTo(n + 7), 16)))
    expect(bucketsOf(other)).toEqual(
      bucketsOf(addPoints(EMPTY_SERIES, [...upTo(n), { step: 1000, time: 0, value: -1 }], 16)),
    )
  }
})

test('what a resumed run had said beyond its checkpoint is superseded', () => {
  const state = fold([ofRun(HISTORY.slice(0, eventsOf(9, 0, 700).length + 1))])
  const run = state.runs.get('run9')!
  expect(run.step).toBe(500)
  expect(Math.max(...column(run.series['train/loss'], 'step'))).toBe(500)
  expect(run.attempt).toBe(2)
})

test('an event of a newer version is passed over', () => {
  const newer = { type: 'run.teleported', t: NOON, step: 3 } as unknown as LoggedEvent
  expect(() => fold([ofRun([newer]), { type: 'later' } as unknown as Update])).not.toThrow()
})

test('the log of a run stays bounded', () => {
  const warnings = Array.from(
    { length: 1000 },
    (_, step): LoggedEvent => ({ type: 'warning', t: step, step, code: 'x', message: 'm' }),
  )
  const run = fold([ofRun(warnings)]).runs.get('run9')!
  expect(run.log).toHaveLength(LOG_CAP)
  expect(run.log.at(-1)!.text).toContain('step 999')
  expect(run.warnings).toBe(1000)
})

test('the made-up sweep stands as it was told', () => {
  const state = fold(sweepUpdates())
  const rows = rowsOf(state)
  expect(rows.map((row) => row.status)).toEqual(['finished', 'failed', 'running', 'queued'])
  expect(visibleRows(rows, { filter: '', sort: 'plan', pinned: new Set() })[0].status).toBe('failed')
  expect(visibleRows(rows, { filter: 'two run', sort: 'plan', pinned: new Set() }).map((row) => row.id)).toEqual([
    'two-stage/seed=0',
  ])
  expect(scoreOf(rows[0].run)).toMatchObject({ value: 0.431, final: true })
  expect(sessionProgress(rows)).toBeCloseTo((1000 + 120 + 420) / 4000)
})

test('times left follow the recent rate', () => {
  const state = fold(sweepUpdates())
  const rows = rowsOf(state)
  const now = rows[2].run!.seenAt!
  // ten steps a second: 580 steps to go for the running one, then none or the queued one of 1000 beside it
  expect(runEta(rows[2].run!, now)).toBeCloseTo(58_000, -3)
  expect(sessionEta(state, rows, now)).toBeCloseTo(100_000, -3)
  expect(sessionEta({ ...state, jobs: 1 }, rows, now)).toBeCloseTo(158_000, -3)
})

test('failures, numbers that are none and silence are told', () => {
  const nan: LoggedEvent = { type: 'metric', t: NOON + 1, step: 430, values: { 'train/loss': Number.NaN } }
  const rows = rowsOf(fold([...sweepUpdates(), { type: 'run.events', run: 'run2', events: [nan] }]))
  const texts = alertsOf(rows, NOON + STALL_MS + 2).map((alert) => alert.text)
  expect(texts).toEqual([
    'run3 one-stage seed 1 failed: the loss is not a number since step 118',
    'run2 two-stage seed 0: train/loss is not a finite number since step 430',
    'run2 two-stage seed 0: no sign of life for 60 s',
  ])
})

test('a session whose points are all done has nothing left', () => {
  const points = POINTS.map((point) => ({ ...point, action: 'skip' as const }))
  const state = fold([{ type: 'session', title: '', question: '', file: null, jobs: 1, points }])
  expect(sessionEta(state, rowsOf(state), NOON)).toBe(0)
  expect(sessionProgress(rowsOf(state))).toBe(1)
})
