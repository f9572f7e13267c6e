import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { Update } from '../../lib/core/updates.ts'
import { localLauncher } from '../../lib/launch/local.ts'
import { listRuns, openRun } from '../../lib/run/folder.ts'
import { followRun } from '../../lib/run/follow.ts'
import { prunePoints } from '../../lib/sweep/record.ts'
import type { Order } from '../../lib/sweep/run.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import { states, sweep, sweepFolder, until } from './bench.ts'
import { inlineWorkers } from './inline-worker.ts'

// Each worker is a process, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

test('a sweep trains every point once, and the second time skips them all', async () => {
  const { home, file } = sweepFolder()
  const first = sweep(home, file, { launcher: inlineWorkers() })
  expect(await first.result).toEqual({
    finished: 4,
    failed: 0,
    stopped: 0,
    skipped: 0,
    stoppedEarly: 0,
    detached: false,
    runs: ['run1', 'run2', 'run3', 'run4'],
    failedRuns: [],
    left: [],
  })
  expect(first.updates.at(-1)).toMatchObject({ type: 'session.done', finished: 4 })
  const second = sweep(home, file)
  expect(second.plan.map(({ planned }) => planned.action)).toEqual(['skip', 'skip', 'skip', 'skip'])
  expect(await second.result).toMatchObject({ finished: 0, skipped: 4 })
  expect(listRuns(home).map(({ identity }) => identity.point)).toEqual([
    'one/seed=0',
    'one/seed=1',
    'two/seed=0',
    'two/seed=1',
  ])
  const [record] = readdirSync(join(home, 'runs', 'sweeps'))
  const { question, points } = JSON.parse(readFileSync(join(home, 'runs', 'sweeps', record), 'utf8'))
  expect(question).toBe('One or two?')
  expect(points.map((point: { run: string }) => point.run)).toEqual(['run1', 'run2', 'run3', 'run4'])
})

test('the observer is told of each run in the order attached, events, status', async () => {
  const { home, file } = sweepFolder()
  const { result, updates } = sweep(home, file, { jobs: 4, launcher: inlineWorkers() })
  await result
  for (const run of ['run1', 'run2', 'run3', 'run4']) {
    const own = updates.filter((update) => 'run' in update && update.run === run)
    expect(own[0].type).toBe('run.attached')
    expect(own.at(-1)).toMatchObject({ type: 'run.status', status: 'finished' })
    const steps = own.flatMap((update) => (update.type === 'run.events' ? update.events : []))
    expect(steps.filter((event) => event.type === 'metric').map((event) => event.step)).toEqual(
      Array.from({ length: 40 }, (_, i) => i + 1),
    )
  }
})

test('a point that fails leaves the others alone, is named, and goes on when asked', async () => {
  const { home, file } = sweepFolder()
  const launcher = inlineWorkers({ fails: (seed) => seed === 1 })
  expect(await sweep(home, file, { launcher }).result).toMatchObject({ finished: 2, failed: 2 })
  expect(await sweep(home, file, { launcher }).result).toMatchObject({ finished: 0, failed: 2, skipped: 2 })
  const retry = new Set(['failed'] as const)
  const again = sweep(home, file, { launcher: inlineWorkers(), planOptions: { retry } })
  expect(again.plan.map(({ planned }) => planned.action)).toEqual(['skip', 'retry', 'skip', 'retry'])
  expect(await again.result).toMatchObject({ finished: 2, failed: 0, skipped: 2 })
  expect(states(home).map(({ attempts }) => attempts)).toEqual([1, 2, 1, 2])
})

test('what fails is tried again within the sweep as often as the file says', async () => {
  const { home, file } = sweepFolder(['retry: 2'])
  const left = new Map([
    [0, 2],
    [1, 1],
  ])
  const fails = (seed: number) => {
    const n = left.get(seed)!
    if (n > 0) left.set(seed, n - 1)
    return n > 0
  }
  const { result } = sweep(home, file, { sets: ['train.steps=2'], jobs: 1, launcher: inlineWorkers({ fails }) })
  expect(await result).toMatchObject({ failed: 0, finished: 4 })
  expect(states(home).map(({ attempts }) => attempts)).toEqual([3, 2, 1, 1])
})

test('after a failure with --fail-fast no other point begins', async () => {
  const { home, file } = sweepFolder()
  const launcher = inlineWorkers({ fails: () => true })
  const result = await sweep(home, file, { jobs: 1, maxFailures: 1, launcher }).result
  expect(result).toMatchObject({ finished: 0, failed: 1, stopped: 3 })
  expect(states(home)).toHaveLength(1)
})

test('a point can be tried again from the screen while the sweep goes on', async () => {
  const { home, file } = sweepFolder()
  let broken = true
  let asked = false
  const takeRetries = () => {
    if (asked || states(home)[0]?.status !== 'failed') return []
    asked = true
    broken = false
    return ['run1']
  }
  const launcher = inlineWorkers({ fails: (seed) => broken && seed === 0 })
  const { result, updates } = sweep(home, file, { jobs: 1, launcher, takeRetries })
  expect(await result).toMatchObject({ finished: 4, failed: 0 })
  const statuses = updates.flatMap((u) => (u.type === 'run.status' && u.run === 'run1' ? [u.status] : []))
  expect(statuses.slice(statuses.indexOf('failed'))).toEqual(['failed', 'queued', 'failed', 'running', 'finished'])
  expect(states(home)[0].attempts).toBe(2)
})

test('points that the file no longer has are named and left alone', async () => {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers(), jobs: 4 }).result
  writeFileSync(file, readFileSync(file, 'utf8').replace('  two: { model.stages: 2 }\n', ''))
  const { result, updates } = sweep(home, file, { launcher: inlineWorkers() })
  expect(await result).toMatchObject({ skipped: 2 })
  expect(updates.flatMap((update) => (update.type === 'message' ? [update.text] : []))).toEqual([
    'two/seed=0 is no longer in the file; run3 is left alone',
    'two/seed=1 is no longer in the file; run4 is left alone',
  ])
})

test('values taken out of a grid are named, too; a point under a new name and one that only a --set made are not', async () => {
  const { home, file } = sweepFolder()
  const grid = (values: string) =>
    writeFileSync(file, `question: Which?\nbase: base.yaml\ngrid: { model.stages: [${values}] }\n`)
  const named = async (sets: string[] = []) => {
    const { result, updates } = sweep(home, file, { launcher: inlineWorkers(), jobs: 4, sets })
    await result
    return updates.flatMap((update) => (update.type === 'message' ? [update.text] : []))
  }
  grid('1, 2')
  expect(await named(['train.steps=4'])).toEqual([])
  expect(await named(['train.steps=4', 'seed=7'])).toEqual([])
  grid('2')
  expect(await named(['train.steps=4'])).toEqual(['stages=1/seed=0 is no longer in the file; run1 is left alone'])
  writeFileSync(file, 'question: Which?\nbase: base.yaml\npoints: { both: { model.stages: 2 } }\n')
  expect(await named(['train.steps=4'])).toEqual(['stages=1/seed=0 is no longer in the file; run1 is left alone'])
})

test('a sweep that is under way does not begin what another has pruned; back in the file, it is a point again', async () => {
  const { home, file } = sweepFolder()
  const observe = (update: Update) => {
    if (update.type === 'run.attached' && update.run === 'run1') prunePoints(home, loadSweep(file), ['two/seed=0'])
  }
  const launcher = inlineWorkers()
  expect(await sweep(home, file, { jobs: 1, launcher, observe }).result).toMatchObject({ finished: 3, stopped: 1 })
  expect(listRuns(home).map(({ identity }) => identity.point)).not.toContain('two/seed=0')
  expect(await sweep(home, file, { launcher }).result).toMatchObject({ finished: 1, skipped: 3 })
})

test('a worker that cannot begin is a failed run that says why', async () => {
  const { home, file } = sweepFolder(['retry: 1'])
  const launcher = localLauncher([process.execPath, '-e', 'console.error("no such thing"); process.exit(9)'])
  expect(await sweep(home, file, { launcher }).result).toMatchObject({ failed: 4 })
  for (const state of states(home)) {
    expect(state).toMatchObject({ status: 'failed', attempts: 2 })
    expect(state.error).toBe('the worker ended with exit code 9 before it began: no such thing')
  }
})

test('a command that does not exist is a failed run, too', async () => {
  const { home, file } = sweepFolder()
  expect(await sweep(home, file, { launcher: localLauncher(['/nowhere/node']) }).result).toMatchObject({ failed: 4 })
  expect(states(home)[0].error).toMatch(/could not be started: .*ENOENT/)
})

test('stop lets workers save; the same sweep resumes them from there and repeats nothing', async () => {
  const { home, file } = sweepFolder()
  process.env.GVX_FAKE_MS = '20'
  try {
    let order: Order = 'go'
    const { result, updates } = sweep(home, file, { order: () => order })
    await until(() => updates.filter((u) => u.type === 'run.events').length > 6)
    order = 'stop'
    expect(await result).toMatchObject({ finished: 0, stopped: 4 })
  } finally {
    delete process.env.GVX_FAKE_MS
  }
  const stopped = states(home)
  expect(stopped.map(({ status }) => status)).toEqual(['stopped', 'stopped'])
  const again = sweep(home, file)
  expect(again.plan.map(({ planned }) => planned.action)).toEqual(['resume', 'resume', 'new', 'new'])
  expect(await again.result).toMatchObject({ finished: 4 })
  for (const id of ['run1', 'run2']) {
    const steps: number[] = []
    followRun(openRun(home, id).dir)((events) => {
      for (const event of events) if (event.type === 'metric') steps.push(event.step)
    })
    expect(steps).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
  }
})

test('detach leaves the workers running, and the next sweep finds them', async () => {
  const { home, file } = sweepFolder()
  process.env.GVX_FAKE_MS = '30'
  try {
    let order: Order = 'go'
    const { result } = sweep(home, file, { order: () => order })
    await until(() => states(home).filter(({ status }) => status === 'running').length === 2)
    order = 'detach'
    expect(await result).toMatchObject({ detached: true })
    const again = sweep(home, file)
    expect(again.plan.map(({ planned }) => planned.action)).toEqual(['running', 'running', 'new', 'new'])
    expect(await again.result).toMatchObject({ finished: 4 })
    expect(states(home).map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1])
  } finally {
    delete process.env.GVX_FAKE_MS
  }
})

test('after a detach the points that have failed are not among those that are left', async () => {
  const { home, file } = sweepFolder()
  Object.assign(process.env, { GVX_FAKE_MS: '30', GVX_FAKE_FAIL: '0' })
  try {
    let order: Order = 'go'
    const { result } = sweep(home, file, { jobs: 4, order: () => order })
    await until(() => states(home).filter(({ status }) => status === 'failed').length === 2)
    await until(() => states(home).length === 4)
    order = 'detach'
    const { failed, failedRuns, left } = await result
    expect(left).toEqual(['one/seed=1', 'two/seed=1'])
    expect([failed, failedRuns]).toEqual([2, ['run1', 'run3']])
  } finally {
    delete process.env.GVX_FAKE_MS
    delete process.env.GVX_FAKE_FAIL
  }
})

test('cancel ends workers at once; their runs can go on from the last checkpoint', async () => {
  const { home, file } = sweepFolder()
  process.env.GVX_FAKE_MS = '20'
  try {
    let order: Order = 'go'
    const { result } = sweep(home, file, { order: () => order })
    await until(() => states(home).filter(({ step }) => step > 12).length === 2)
    order = 'cancel'
    expect(await result).toMatchObject({ stopped: 4, failed: 0 })
  } finally {
    delete process.env.GVX_FAKE_MS
  }
  const again = sweep(home, file)
  expect(again.plan[0].planned.reason).toMatch(/lost as run1, from its checkpoint of step [123]0/)
  expect(await again.result).toMatchObject({ finished: 4 })
})

test('a run on a machine that cannot be asked is waited for, and taken over by force', async () => {
  const { home, file } = sweepFolder(['exclude: [{ model.stages: 2 }, { seed: 1 }]'])
  await sweep(home, file, { launcher: inlineWorkers() }).result
  const dir = join(home, 'runs', 'run1')
  const claim = JSON.parse(readFileSync(join(dir, 'attempt.1'), 'utf8'))
  const elsewhere = { ...claim, process: { ...claim.process, host: 'elsewhere' } }
  writeFileSync(join(dir, 'attempt.1'), JSON.stringify(elsewhere))
  const log = readFileSync(join(dir, 'events.1.jsonl'), 'utf8').trimEnd().split('\n')
  writeFileSync(join(dir, 'events.1.jsonl'), `${log.slice(0, -1).join('\n')}\n`)

  let order: Order = 'go'
  const waiting = sweep(home, file, { order: () => order })
  expect(waiting.plan[0].planned).toMatchObject({ action: 'running', reason: 'running as run1 on elsewhere' })
  order = 'stop'
  expect(await waiting.result).toMatchObject({ stopped: 1 })

  const forced = sweep(home, file, { force: true })
  expect(forced.plan[0].planned).toMatchObject({ action: 'resume', run: 'run1' })
  expect(await forced.result).toMatchObject({ finished: 1 })
})
