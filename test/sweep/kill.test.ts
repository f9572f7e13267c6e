import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import type { LoggedEvent, RunStarted } from '../../lib/core/events.ts'
import { lastAttempt } from '../../lib/run/attempt.ts'
import { listRuns } from '../../lib/run/folder.ts'
import { followRun } from '../../lib/run/follow.ts'
import { livenessOf } from '../../lib/run/process.ts'
import { states, superviseElsewhere, sweep, sweepFolder, until } from './bench.ts'

// Each worker is a process, and the machine may be busy with others.
vi.setConfig({ testTimeout: 180_000 })

const SLOW = { GVX_FAKE_MS: '15' }
const EVERY = 10 // steps between two checkpoints in sweepFolder()

function eventsOf(home: string): LoggedEvent[][] {
  return listRuns(home).map(({ dir }) => {
    const all: LoggedEvent[] = []
    followRun(dir)((events) => all.push(...events))
    return all
  })
}

/** Kills the workers that run now. */
function killWorkers(home: string): number {
  let killed = 0
  for (const { dir } of listRuns(home)) {
    const last = lastAttempt(dir)
    if (last === null || livenessOf(last.process) !== 'alive') continue
    process.kill(last.process.pid, 'SIGKILL')
    killed += 1
  }
  return killed
}

/** Every step of every run is in its log, and an attempt repeats at most the steps since the last checkpoint. */
function expectNothingLost(home: string): void {
  for (const events of eventsOf(home)) {
    const steps = events.flatMap((event) => (event.type === 'metric' ? [event.step] : []))
    expect(new Set(steps)).toEqual(new Set(Array.from({ length: 40 }, (_, i) => i + 1)))
    let reached = 0
    for (const event of events) {
      if (event.type === 'run.started') expect(reached - (event as RunStarted).resumedFrom).toBeLessThanOrEqual(EVERY)
      if (event.type === 'metric') reached = Math.max(reached, event.step)
    }
  }
}

test('workers that are killed at any moment are lost, known to be, and go on from their checkpoints', async () => {
  const { home, file } = sweepFolder()
  Object.assign(process.env, SLOW)
  try {
    for (let round = 0; round < 3; round++) {
      const { result } = sweep(home, file)
      await until(() => killWorkers(home) > 0 || states(home).every(({ status }) => status === 'finished'))
      await sleep(Math.random() * 600)
      killWorkers(home)
      await result
      for (const { status } of states(home)) expect(['finished', 'lost', 'queued']).toContain(status)
    }
  } finally {
    delete process.env.GVX_FAKE_MS
  }
  const last = sweep(home, file)
  expect(await last.result).toMatchObject({ failed: 0, stopped: 0 })
  expect(states(home).map(({ status }) => status)).toEqual(['finished', 'finished', 'finished', 'finished'])
  expectNothingLost(home)
})

test('a supervisor that is killed leaves its workers running, and the next one goes on with them', async () => {
  const { home, file } = sweepFolder()
  Object.assign(process.env, SLOW)
  const first = superviseElsewhere(home, file)
  await until(() => states(home).some(({ step }) => step > 3))
  first.kill('SIGKILL')
  await once(first, 'exit')
  delete process.env.GVX_FAKE_MS
  const { result } = sweep(home, file)
  expect(await result).toMatchObject({ failed: 0, stopped: 0 })
  expect(states(home).map(({ status, attempts }) => [status, attempts])).toEqual(Array(4).fill(['finished', 1]))
  expectNothingLost(home)
})

test('when supervisor and workers are killed together no run stays running, and the next sweep finishes them', async () => {
  const { home, file } = sweepFolder()
  Object.assign(process.env, SLOW)
  const first = superviseElsewhere(home, file)
  await until(() => states(home).some(({ step }) => step > 12))
  first.kill('SIGKILL')
  killWorkers(home)
  await once(first, 'exit')
  await until(() => killWorkers(home) === 0)
  delete process.env.GVX_FAKE_MS
  expect(states(home).every(({ status }) => status === 'lost' || status === 'finished' || status === 'queued')).toBe(
    true,
  )
  expect(states(home).some(({ status }) => status === 'lost')).toBe(true)
  const { result } = sweep(home, file)
  expect(await result).toMatchObject({ failed: 0, stopped: 0 })
  expectNothingLost(home)
})

test('two supervisors at once train every point once', async () => {
  const { home, file } = sweepFolder()
  const others = [superviseElsewhere(home, file), superviseElsewhere(home, file)]
  const here = sweep(home, file)
  const [result] = await Promise.all([here.result, ...others.map((other) => once(other, 'exit'))])
  expect(result).toMatchObject({ failed: 0, stopped: 0 })
  expect(others.map(({ exitCode }) => exitCode)).toEqual([0, 0])
  const points = listRuns(home).map(({ identity }) => identity.point)
  expect([...points].sort()).toEqual(['one/seed=0', 'one/seed=1', 'two/seed=0', 'two/seed=1'])
  for (const events of eventsOf(home)) {
    const steps = events.flatMap((event) => (event.type === 'metric' ? [event.step] : []))
    expect(steps).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
  }
})
