import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LoggedEvent, RunEvent } from '../../lib/core/events.ts'
import { foldStatus, hasEnded } from '../../lib/run/status.ts'

const at = (event: RunEvent): LoggedEvent => ({ ...event, t: 0 })
const started = (attempt: number, resumedFrom = 0): LoggedEvent =>
  at({
    type: 'run.started',
    attempt,
    resumedFrom,
    totalSteps: 100,
    host: 'h',
    pid: 1,
    pidStarted: 0,
    backend: 'cpu',
    device: '',
    threads: 1,
    git: { commit: null, dirty: false },
    versions: {},
  })
const metric = (step: number) => at({ type: 'metric', step, values: {} })
const saved = (step: number) => at({ type: 'checkpoint.saved', step, file: '', bytes: 0, best: false })
const finished = (status: 'finished' | 'stopped' | 'failed', step = 100) =>
  at({ type: 'run.finished', step, status, error: status === 'failed' ? 'why' : null })

test.each([
  ['queued', [], 0, 'gone'],
  ['starting', [], 1, 'alive'],
  ['lost', [], 1, 'gone'],
  ['running', [started(1), metric(3)], 1, 'alive'],
  ['running', [started(1), metric(3)], 1, 'unknown'],
  ['lost', [started(1), metric(3)], 1, 'gone'],
  ['stopped', [started(1), finished('stopped')], 1, 'gone'],
  ['starting', [started(1), finished('stopped')], 2, 'alive'],
  ['lost', [started(1), finished('stopped')], 2, 'gone'],
  ['finished', [started(1), finished('stopped'), started(2, 50), finished('finished')], 2, 'gone'],
  ['failed', [started(1), finished('failed')], 1, 'alive'],
  ['running', [started(1), finished('stopped'), started(2)], 1, 'gone'],
  ['running', [started(1)], 0, 'gone'],
] as const)('a run is %s when its log says so', (status, events, claimed, liveness) => {
  expect(foldStatus(events, claimed, liveness).status).toBe(status)
})

test('a resumed run counts its steps from the checkpoint', () => {
  const events = [started(1), metric(60), saved(50), started(2, 50), metric(55)]
  expect(foldStatus(events, 2, 'alive')).toMatchObject({ step: 55, checkpoint: 50, totalSteps: 100, attempts: 2 })
})

test('a run whose process is known to be gone is never taken for running', () => {
  const event = fc.oneof(
    fc.integer({ min: 1, max: 3 }).map((n) => started(n)),
    fc.nat(99).map(metric),
    fc.nat(99).map(saved),
    fc.constantFrom('finished' as const, 'stopped' as const, 'failed' as const).map((status) => finished(status)),
  )
  fc.assert(
    fc.property(fc.array(event), fc.integer({ min: 3, max: 4 }), (events, claimed) => {
      expect(hasEnded(foldStatus(events, claimed, 'gone').status)).toBe(true)
    }),
  )
})
