import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import type { LoggedEvent, RunEvent } from '../../lib/core/events.ts'
import { readEarlyStop } from '../../lib/run/early-stop.ts'
import { listRuns } from '../../lib/run/folder.ts'
import { createJudge } from '../../lib/sweep/median.ts'
import { states, superviseElsewhere, sweep, sweepFolder, until } from './bench.ts'

// Each worker is a process, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

const METRIC = { name: 'eval/voc/mIoU', goal: 'max' } as const
const evaluated = (step: number, mIoU: number, purpose: 'during' | 'final' = 'during'): RunEvent => ({
  type: 'eval.finished',
  step,
  dataset: 'voc',
  purpose,
  protocol: {},
  images: 1,
  seconds: 1,
  values: { mIoU },
  classNames: [],
  iou: [],
  baselines: {},
  counts: null,
})

/** A judge who has seen three finished runs with 0.1, 0.2 and 0.3 at step 100 and twice that at 200. */
function judgeOfThree(over: { after?: number; minRuns?: number } = {}) {
  const judge = createJudge({ rule: 'median', after: 100, minRuns: 3, ...over }, METRIC)
  const tell = (run: string, ...events: RunEvent[]) =>
    judge.observe({ type: 'run.events', run, events: events.map((event) => ({ ...event, t: 0 }) as LoggedEvent) })
  for (const [i, mIoU] of [0.1, 0.2, 0.3].entries()) {
    tell(`run${i}`, evaluated(100, mIoU), evaluated(200, 2 * mIoU), evaluated(200, 0.9, 'final'))
    judge.observe({ type: 'run.status', run: `run${i}`, status: 'finished', reason: null })
  }
  return { judge, tell }
}

test('a run is hopeless when its best is worse than the median of the finished runs at the same step', () => {
  const { judge, tell } = judgeOfThree()
  tell('worse', evaluated(100, 0.19))
  tell('equal', evaluated(100, 0.2))
  tell('fallen', evaluated(50, 0.25), evaluated(100, 0.05))
  expect(judge.verdict('worse')).toBe(
    'early stop: eval/voc/mIoU reached 0.19 in 100 steps, the median of 3 finished runs there is 0.2',
  )
  expect(judge.verdict('equal')).toBeNull()
  expect(judge.verdict('fallen')).toBeNull()
  tell('equal', evaluated(200, 0.39))
  expect(judge.verdict('equal')).toMatch(/reached 0.39 in 200 steps, the median of 3 finished runs there is 0.4/)
  expect(judge.verdict('unknown')).toBeNull()
})

test('a measurement between those of the others is held against the ones before', () => {
  const { judge, tell } = judgeOfThree()
  tell('between', evaluated(150, 0.21))
  expect(judge.verdict('between')).toBeNull()
})

test('nobody is stopped before the steps that every run may make, nor while too few runs have finished', () => {
  const late = judgeOfThree({ after: 101 })
  late.tell('a', evaluated(100, 0.01))
  expect(late.judge.verdict('a')).toBeNull()
  const few = judgeOfThree({ minRuns: 4 })
  few.tell('a', evaluated(100, 0.01))
  few.judge.observe({ type: 'run.status', run: 'a', status: 'running', reason: null })
  expect(few.judge.verdict('a')).toBeNull()
})

test('NaN is worse than everything, and of a resumed run only what is still true counts', () => {
  const { judge, tell } = judgeOfThree()
  tell('nan', evaluated(100, Number.NaN))
  expect(judge.verdict('nan')).toMatch(/reached NaN/)
  tell('back', evaluated(50, 0.05), evaluated(100, 0.9))
  tell('back', { type: 'run.started', resumedFrom: 60 } as RunEvent, evaluated(100, 0.06))
  expect(judge.verdict('back')).toMatch(/reached 0.06/)
})

test('with the goal min less is better, and any metric of the log will do', () => {
  const judge = createJudge({ rule: 'median', after: 1, minRuns: 1 }, { name: 'train/loss', goal: 'min' })
  const tell = (run: string, value: number) =>
    judge.observe({
      type: 'run.events',
      run,
      events: [{ type: 'metric', step: 5, values: { 'train/loss': value }, t: 0 }],
    })
  tell('run1', 1)
  judge.observe({ type: 'run.status', run: 'run1', status: 'finished', reason: null })
  tell('run2', 1.5)
  tell('run3', 0.5)
  expect(judge.verdict('run2')).toMatch(/reached 1.5/)
  expect(judge.verdict('run3')).toBeNull()
})

/**
 * Three seeds of one stage, which finish, and three of two stages, whose loss is twice as high all the way; those have so
 * many steps that none ends by itself while a crowded machine starts a supervisor.
 */
function hopelessSweep(): { home: string; file: string } {
  const { home, file } = sweepFolder()
  const rule = 'metric: { name: train/loss, goal: min }\nearlyStop: { rule: median, after: 10, minRuns: 3 }\n'
  const text = readFileSync(file, 'utf8')
    .replace('seeds: [0, 1]', 'seeds: [0, 1, 2]')
    .replace('two: { model.stages: 2 }', 'two: { model.stages: 2, train.steps: 400 }')
  writeFileSync(file, text + rule)
  writeFileSync(join(home, 'base.yaml'), 'train: { steps: 80, checkpointEvery: 10 }\n')
  return { home, file }
}

async function withSlowWorkers(work: () => Promise<void>): Promise<void> {
  process.env.GVX_FAKE_MS = '25'
  try {
    await work()
  } finally {
    delete process.env.GVX_FAKE_MS
  }
}

test('hopeless points end as stopped, say why, and go on only when asked', async () => {
  const { home, file } = hopelessSweep()
  await withSlowWorkers(async () => {
    const { result, updates } = sweep(home, file, { jobs: 3 })
    expect(await result).toMatchObject({ finished: 3, stopped: 3, stoppedEarly: 3, failed: 0 })
    const said = updates.flatMap((update) => (update.type === 'message' ? [update.text] : []))
    expect(said.map((text) => text.replace(/: early.*/, '')).sort()).toEqual(['two/seed=0', 'two/seed=1', 'two/seed=2'])
  })
  const given = states(home).slice(3)
  for (const { status, step, error } of given) {
    expect(status).toBe('stopped')
    expect(step).toBeGreaterThanOrEqual(10)
    expect(step).toBeLessThan(400)
    expect(error).toMatch(/^early stop: train\/loss reached .* the median of 3 finished runs there is/)
  }
  const again = sweep(home, file)
  expect(again.plan.map(({ planned }) => planned.action)).toEqual(Array(6).fill('skip'))
  expect(again.plan[3].planned.reason).toMatch(/^given up as run4: early stop: .* \(--retry stopped goes on with it\)$/)
  expect(await again.result).toMatchObject({ skipped: 6, stoppedEarly: 0 })
  const asked = sweep(home, file, { planOptions: { retry: new Set(['stopped']) } })
  expect(asked.plan.map(({ planned }) => planned.action)).toEqual(['skip', 'skip', 'skip', 'retry', 'retry', 'retry'])
  expect(await asked.result).toMatchObject({ finished: 3, stoppedEarly: 0 })
  expect(states(home).map(({ status, attempts }) => `${status} ${attempts}`)).toEqual([
    ...Array(3).fill('finished 1'),
    ...Array(3).fill('finished 2'),
  ])
})

test('a supervisor that takes over gives up what the one before would have', async () => {
  const { home, file } = hopelessSweep()
  await withSlowWorkers(async () => {
    const first = superviseElsewhere(home, file)
    const running = () =>
      states(home)
        .slice(3)
        .some(({ step }) => step > 2)
    await until(running)
    first.kill('SIGKILL')
    await once(first, 'exit')
    const { result } = sweep(home, file, { jobs: 2 })
    expect(await result).toMatchObject({ stopped: 3, stoppedEarly: 3, failed: 0 })
  })
  expect(states(home).map(({ attempts }) => attempts)).toEqual(Array(6).fill(1))
  for (const { dir } of listRuns(home).slice(3)) expect(readEarlyStop(dir)).toMatch(/^early stop/)
})
