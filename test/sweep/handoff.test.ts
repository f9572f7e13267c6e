import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { takeHandoff, writeHandoff } from '../../lib/sweep/handoff.ts'
import { expandPoints, keysOfFile } from '../../lib/sweep/points.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import { gvx } from '../cli/gvx.ts'
import { temporaryFolder } from '../run/temporary.ts'
import { sweep, sweepFolder, until } from './bench.ts'
import { inlineWorkers } from './inline-worker.ts'

// The built gvx is started as a process, and the machine may be busy with others.
vi.setConfig({ testTimeout: 120_000 })

const REQUEST = { since: 0, force: false, jobs: null, argv: ['sweep', 'sweep.yaml', '--detach'] }

function handOver(home: string, file: string): { handoff: string; points: ReturnType<typeof expandPoints> } {
  const loaded = loadSweep(file)
  const points = expandPoints(loaded, ['train.steps=20'])
  const retry = new Set(['failed'] as const)
  const maxFailures = Number.POSITIVE_INFINITY
  const session = { ...REQUEST, sweep: loaded, points, fileKeys: keysOfFile(loaded), retry, maxFailures }
  return { handoff: writeHandoff(home, session), points }
}

test('a session goes on with the points that were planned, whatever has become of the files, and goes on once', () => {
  const { home, file } = sweepFolder(['identity: { ignore: [train.learningRate] }', 'retry: 2'])
  const { handoff, points } = handOver(home, file)
  const { where: _1, ...described } = loadSweep(file)
  writeFileSync(file, 'question: Another?\nbase: base.yaml\n')
  writeFileSync(join(home, 'base.yaml'), 'train: { steps: 7 }\n')
  const taken = takeHandoff(handoff)
  expect(taken.points).toEqual(points)
  const { where: _2, ...sweepOfThen } = taken.sweep
  expect(sweepOfThen).toEqual(described)
  expect({ ...taken, sweep: 0, points: 0 }).toEqual({
    ...REQUEST,
    sweep: 0,
    points: 0,
    retry: new Set(['failed']),
    maxFailures: Number.POSITIVE_INFINITY,
    fileKeys: new Set(['one/seed=0', 'one/seed=1', 'two/seed=0', 'two/seed=1']),
  })
  expect(existsSync(handoff)).toBe(false)
  expect(() => takeHandoff(handoff)).toThrow(/is no session that could go on/)
})

test('a number of failures that stops the sweep is handed over', () => {
  const { home, file } = sweepFolder()
  const loaded = loadSweep(file)
  const none = { sweep: loaded, points: [], fileKeys: null, retry: new Set<never>() }
  expect(takeHandoff(writeHandoff(home, { ...REQUEST, ...none, maxFailures: 3 }))).toMatchObject({
    maxFailures: 3,
    fileKeys: null,
  })
})

test('the process in the background works on what it was given, without the sweep file', async () => {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers(), sets: ['train.steps=20'] }).result
  const { handoff } = handOver(home, file)
  rmSync(file)
  rmSync(join(home, 'base.yaml'))
  const { code, stdout, stderr } = await gvx(['supervise', handoff], { home })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/One or two\?/)
  expect(stdout).toMatch(/two\/seed=1: skip, finished as run4/)
  expect(stdout).toMatch(/0 finished, 0 failed, 0 stopped, 4 skipped/)
})

test('gvx sweep --detach reads its file once', async () => {
  const { home, file } = sweepFolder()
  await sweep(home, file, { launcher: inlineWorkers(), jobs: 4 }).result
  // a pipe gives its text to the first who asks and keeps the second waiting for ever
  const pipe = join(temporaryFolder(), 'once.yaml')
  execFileSync('mkfifo', [pipe])
  const text = readFileSync(file, 'utf8').replace('base.yaml', join(home, 'base.yaml'))
  const [{ code, stdout, stderr }] = await Promise.all([
    gvx(['sweep', pipe, '--detach'], { home }),
    appendFile(pipe, text),
  ])
  expect(code).toBe(0)
  expect(stdout).toMatch(/two\/seed=1 +skip/)
  expect(stderr).toMatch(/once goes on in the background \(process \d+\)/)
  const folder = join(home, 'runs', 'sweeps')
  const log = () => readdirSync(folder).find((name) => /^once-.*\.log$/.test(name))
  await until(() => log() !== undefined && /4 skipped/.test(readFileSync(join(folder, log()!), 'utf8')))
  expect(readdirSync(folder).filter((name) => name.endsWith('.handoff'))).toEqual([])
})
