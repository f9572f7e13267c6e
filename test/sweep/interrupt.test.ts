import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import type { LoggedEvent } from '../../lib/core/events.ts'
import { lastAttempt } from '../../lib/run/attempt.ts'
import { recordEarlyStop } from '../../lib/run/early-stop.ts'
import { listRuns } from '../../lib/run/folder.ts'
import { followRun } from '../../lib/run/follow.ts'
import { livenessOf } from '../../lib/run/process.ts'
import { temporaryFolder } from '../run/temporary.ts'
import { states, until } from './bench.ts'

const GVX = resolve(import.meta.dirname, '../../bin/gvx.js')

/** A model that trains hundreds of steps a second, if little else. */
const TINY = `
model:
  imageSize: 32
  patchSize: 16
  embedDim: 8
  numHeads: 2
  depth: 2
  stages: 1
  groupTokens: 2
  segments: 2
  text: { width: 8, depth: 1, numHeads: 2, contextLength: 8 }
  projection: { dim: 8, hiddenDim: 8 }
multiLabel: { nouns: 0 }
data: { augment: none, workers: 0, scenes: { size: 32, train: 60, val: 6, test: 6 } }
train: { steps: 400, batchSize: 4, logEvery: 1, checkpointEvery: 20 }
eval: { every: 200, limit: 4 }
`

const train = (home: string) =>
  spawn(process.execPath, [GVX, 'train', 'tiny.yaml', '--plain', '--home', home], {
    cwd: home,
    stdio: ['ignore', 'ignore', 'inherit'],
  })

/** Losses by step as the log has them, later attempts over what they repeat. */
function losses(home: string): Map<number, number> {
  const all = new Map<number, number>()
  followRun(listRuns(home)[0].dir)((events: LoggedEvent[]) => {
    for (const event of events)
      if (event.type === 'metric' && 'train/loss' in event.values) all.set(event.step, event.values['train/loss'])
  })
  return all
}

test('a training that is interrupted and then killed ends with the losses of one that was not', async () => {
  const [home, undisturbed] = [temporaryFolder(), temporaryFolder()]
  for (const folder of [home, undisturbed]) writeFileSync(join(folder, 'tiny.yaml'), TINY)

  const first = train(home)
  await until(() => states(home)[0]?.step > 30)
  recordEarlyStop(listRuns(home)[0].dir, 'early stop: for this test', Date.now())
  first.kill('SIGINT')
  expect(await once(first, 'exit')).toEqual([130, null])
  expect(states(home)[0]).toMatchObject({ status: 'stopped', error: 'early stop: for this test' })

  const second = train(home)
  await until(() => states(home)[0].attempts === 2 && states(home)[0].step > 130)
  const worker = lastAttempt(listRuns(home)[0].dir)!.process
  second.kill('SIGKILL')
  process.kill(worker.pid, 'SIGKILL')
  await Promise.all([once(second, 'exit'), until(() => livenessOf(worker) === 'gone')])
  expect(states(home)[0].status).toBe('lost')

  expect(await once(train(home), 'exit')).toEqual([0, null])
  expect(await once(train(undisturbed), 'exit')).toEqual([0, null])
  expect(states(home)).toMatchObject([{ status: 'finished', step: 400, attempts: 3 }])
  expect(losses(home)).toEqual(losses(undisturbed))
}, 300_000)
