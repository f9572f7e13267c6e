import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { listenForOrders } from '../../lib/cli/orders.ts'
import { gvx } from '../cli/gvx.ts'
import { temporaryFolder } from '../run/temporary.ts'
import { sweep, sweepFolder } from './bench.ts'
import { inlineWorkers } from './inline-worker.ts'

// The built gvx is started as a process, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

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
  expect(stderr).toMatch(/2 points failed: .*--retry failed/)
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
