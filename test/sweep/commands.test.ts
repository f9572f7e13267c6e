import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test, vi } from 'vitest'
import { listenForOrders } from '../../lib/cli/orders.ts'
import type { Order } from '../../lib/sweep/run.ts'
import { gvx } from '../cli/gvx.ts'
import { temporaryFolder } from '../run/temporary.ts'
import { openSession } from '../tui/pty.ts'
import { states, sweep, sweepFolder, until } from './bench.ts'
import { inlineWorkers } from './inline-worker.ts'

// The built gvx is started as a process, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

const GVX = resolve(import.meta.dirname, '../../bin/gvx.js')

test('gvx sweep -n says for every point what would be done and why, and does nothing', async () => {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers() }).result
  const { code, stdout } = await gvx(['sweep', file, '-n', '--json', '--only', 'one'], { home })
  expect(code).toBe(0)
  const { kind, points, result } = JSON.parse(stdout)
  expect({ kind, result }).toEqual({ kind: 'sweep', result: null })
  expect(points.map(({ action, reason }: Record<string, string>) => `${action}: ${reason}`)).toEqual([
    'skip: finished as run1',
    'skip: finished as run2',
  ])
})

test('a sweep that has nothing left to do ends at once, and says so', async () => {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers() }).result
  const { code, stdout } = await gvx(['sweep', file], { home })
  expect(code).toBe(0)
  expect(stdout).toMatch(/one\/seed=0: skip, finished as run1/)
  expect(stdout).toMatch(/0 finished, 0 failed, 0 stopped, 4 skipped/)
})

test('a sweep with points that failed ends with 3 and says how to go on', async () => {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers({ fails: (seed) => seed === 1 }) }).result
  const { code, stderr } = await gvx(['sweep', file], { home })
  expect(code).toBe(3)
  expect(stderr).toMatch(/2 points failed \(run2, run4\): gvx logs run2 .*--retry failed/)
})

test.each([
  [['sweep', 'nowhere.yaml'], /nowhere\.yaml was found neither/],
  [['sweep', 'ablations/stages', '-n', '--jobs', '0'], /--jobs must be a whole number of at least 1/],
  [['sweep', 'ablations/stages', '-n', '--retry', 'finished'], /--retry finished: expected failed, lost/],
  [['sweep', 'ablations/stages', '-n', '--set', 'model.stage=1'], /--set model\.stage=1: unknown key/],
])('gvx %j is told in a sentence', async (argv, message) => {
  const { code, stderr } = await gvx(argv, { home: temporaryFolder() })
  expect(code).toBe(2)
  expect(stderr).toMatch(message)
})

/** A sweep whose points `one` have finished and whose points `two` are at work and gone from the file. */
async function vanishedAtWork(): Promise<{ home: string; file: string }> {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers(), only: ['one'] }).result
  process.env.GVX_FAKE_MS = '1500'
  try {
    let order: Order = 'go'
    const { result } = sweep(home, file, { order: () => order, jobs: 4 })
    await until(() => states(home).filter(({ status }) => status === 'running').length === 2)
    order = 'detach'
    await result
  } finally {
    delete process.env.GVX_FAKE_MS
  }
  writeFileSync(file, readFileSync(file, 'utf8').replace('  two: { model.stages: 2 }\n', ''))
  return { home, file }
}

const AT_WORK = ['finished', 'finished', 'running', 'running']
const STOPPED = ['finished', 'finished', 'stopped', 'stopped']

test('--prune stops the runs of points that are gone from the file, but only when somebody says so', async () => {
  const { home, file } = await vanishedAtWork()
  const statuses = () => states(home).map(({ status }) => status)
  const unasked = await gvx(['sweep', file, '--prune'], { home })
  expect(unasked).toMatchObject({ code: 2, stdout: '' })
  expect(unasked.stderr).toMatch(
    /2 points gone from the file: two\/seed=0 \(run3\), two\/seed=1 \(run4\)\n.*nobody to ask/,
  )
  const named = await gvx(['sweep', file, '-n'], { home })
  expect(named.stderr).toMatch(/two\/seed=0 is no longer in the file; run3 is left alone \(--prune stops it\)/)
  const planned = await gvx(['sweep', file, '--prune', '-n'], { home })
  expect(planned.stderr).toMatch(/--prune would stop two\/seed=0 \(run3\), two\/seed=1 \(run4\)/)
  expect(statuses()).toEqual(AT_WORK)

  expect(await gvx(['sweep', file, '--prune', '--yes'], { home })).toMatchObject({ code: 0 })
  await until(() => !statuses().includes('running'))
  expect(statuses()).toEqual(STOPPED)
  const after = await gvx(['sweep', file, '--prune'], { home })
  expect(after).toMatchObject({ code: 0 })
  expect(after.stderr).toMatch(/no point is gone from the file/)
  expect(after.stdout).not.toMatch(/two\//)
})

test('on a terminal --prune asks first', async () => {
  const { home, file } = await vanishedAtWork()
  const statuses = () => states(home).map(({ status }) => status)
  const answer = async (text: string) => {
    const session = openSession(GVX, ['sweep', file, '--prune', '--home', home, '--plain'], { columns: 100, rows: 24 })
    await session.until(/stop two\/seed=0 \(run3\), two\/seed=1 \(run4\)\? \[y\/N\]/)
    session.type(text)
    expect(await session.exited).toMatchObject({ exitCode: 0 })
    return session.frame().join('\n')
  }
  expect(await answer('\r')).toMatch(/they are left alone/)
  expect(statuses()).toEqual(AT_WORK)
  expect(await answer('y\r')).toMatch(/run3 finishes its step/)
  await until(() => !statuses().includes('running'))
  expect(statuses()).toEqual(STOPPED)
})

test('gvx train plans a single point with its seed', async () => {
  const home = temporaryFolder()
  writeFileSync(join(home, 'mine.yaml'), 'train: { steps: 5 }\n')
  const { stdout } = await gvx(['train', join(home, 'mine.yaml'), '-n', '--json', '--seed', '7'], { home })
  expect(JSON.parse(stdout).points).toMatchObject([{ key: 'mine/seed=7', totalSteps: 5, action: 'new' }])
})

test('gvx watch and gvx stop say when there is nothing', async () => {
  const home = temporaryFolder()
  expect(await gvx(['watch'], { home })).toMatchObject({ code: 4 })
  expect(await gvx(['stop', 'run3'], { home })).toMatchObject({ code: 4 })
})

test('the first Ctrl-C stops gently, the second at once, a closed terminal leaves the workers alone', () => {
  const orders = listenForOrders()
  expect([orders.current(), orders.exitCode()]).toEqual(['go', 0])
  process.emit('SIGINT')
  expect([orders.current(), orders.exitCode()]).toEqual(['stop', 130])
  process.emit('SIGINT')
  expect(orders.current()).toBe('cancel')
  orders.dispose()
  const others = listenForOrders()
  process.emit('SIGHUP')
  expect([others.current(), others.exitCode()]).toEqual(['detach', 0])
  others.dispose()
})
