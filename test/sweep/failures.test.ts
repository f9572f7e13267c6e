import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test, vi } from 'vitest'
import type { Launcher } from '../../lib/launch/launcher.ts'
import { localLauncher } from '../../lib/launch/local.ts'
import { listRuns } from '../../lib/run/folder.ts'
import { ingestRun } from '../../lib/store/ingest.ts'
import { openStore } from '../../lib/store/open.ts'
import { refresh } from '../../lib/store/status.ts'
import { states, sweep, sweepFolder } from './bench.ts'
import { FAKE_WORKER } from './fake-command.ts'
import { inlineWorkers } from './inline-worker.ts'

// Twenty of the workers are processes, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

/** What becomes of the workers of a seed: by its remainder of five. */
const FATES = [
  'finishes',
  'says that it failed',
  'cannot begin',
  'is gone without a word',
  'fails the first time',
] as const
const fateOf = (seed: number) => FATES[seed % FATES.length]

function unluckyLauncher(): Launcher {
  const tried = new Set<string>()
  const sound = inlineWorkers()
  const failing = inlineWorkers({ fails: () => true })
  const impossible = localLauncher(['/bin/sh', '-c', 'echo no such model >&2; exit 9'])
  const crashing = localLauncher(FAKE_WORKER)
  return {
    name: 'unlucky',
    start(run, options) {
      const { id, seed } = run.identity
      const again = tried.has(id)
      tried.add(id)
      switch (fateOf(seed)) {
        case 'finishes':
          return sound.start(run, options)
        case 'says that it failed':
          return failing.start(run, options)
        case 'cannot begin':
          return impossible.start(run, options)
        case 'is gone without a word':
          return crashing.start(run, options)
        default:
          return (again ? sound : failing).start(run, options)
      }
    },
  }
}

test('fifty points with failures of every kind end as their statuses say, in the logs and in the database', async () => {
  const { home, file } = sweepFolder(['retry: 1'])
  const seeds = Array.from({ length: 25 }, (_, i) => i)
  writeFileSync(file, readFileSync(file, 'utf8').replace('seeds: [0, 1]', `seeds: [${seeds}]`))
  const store = openStore(home)
  process.env.GVX_FAKE_CRASH = '17'
  try {
    const { result, updates } = sweep(home, file, {
      sets: ['train.steps=20'],
      jobs: 6,
      launcher: unluckyLauncher(),
      record: (dir) => ingestRun(store, dir),
    })
    expect(await result).toMatchObject({ finished: 20, failed: 30, stopped: 0, skipped: 0, stoppedEarly: 0 })
    expect(updates.at(-1)).toMatchObject({ type: 'session.done', finished: 20, failed: 30 })
  } finally {
    delete process.env.GVX_FAKE_CRASH
  }
  const expected = {
    finishes: ['finished', 1, null],
    'says that it failed': ['failed', 2, /^run\d+ broke$/],
    'cannot begin': ['failed', 2, /ended with exit code 9 before it began: no such model/],
    'is gone without a word': ['lost', 2, null],
    'fails the first time': ['finished', 2, null],
  } as const
  refresh(store, (dir, error) => {
    throw new Error(`${dir}: ${error}`)
  })
  const rows = store.sql('SELECT id, status, attempts, error FROM runs ORDER BY id').all()
  expect(rows).toHaveLength(50)
  const known = states(home)
  listRuns(home).forEach(({ identity }, i) => {
    const [status, attempts, error] = expected[fateOf(identity.seed)]
    const words = error === null ? null : expect.stringMatching(error)
    expect(known[i]).toMatchObject({ status, attempts, error: words })
    expect(rows[i]).toEqual({ id: i + 1, status, attempts, error: words })
  })
  store.close()
  const { plan } = sweep(home, file, { sets: ['train.steps=20'], order: () => 'detach' })
  const actions = plan.map(({ planned }) => `${fateOf(planned.seed)}: ${planned.action}`)
  expect([...new Set(actions)].sort()).toEqual([
    'cannot begin: skip',
    'fails the first time: skip',
    'finishes: skip',
    'is gone without a word: resume',
    'says that it failed: skip',
  ])
})
