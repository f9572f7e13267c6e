import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach } from 'vitest'
import type { Update } from '../../lib/core/updates.ts'
import { localLauncher } from '../../lib/launch/local.ts'
import { lastAttempt } from '../../lib/run/attempt.ts'
import { listRuns } from '../../lib/run/folder.ts'
import { followRun } from '../../lib/run/follow.ts'
import { livenessOf } from '../../lib/run/process.ts'
import { knownRuns } from '../../lib/sweep/known.ts'
import { type PlanOptions, planSweep } from '../../lib/sweep/plan.ts'
import { expandPoints, keysOfFile, onlyPoints } from '../../lib/sweep/points.ts'
import { runSweep, type SweepOptions } from '../../lib/sweep/run.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import { temporaryFolder } from '../run/temporary.ts'
import { FAKE_WORKER, SUPERVISOR } from './fake-command.ts'

/** A folder with a sweep file of two points with two seeds, 40 steps each, a checkpoint every 10. */
export function sweepFolder(lines: string[] = []): { home: string; file: string } {
  const home = temporaryFolder()
  writeFileSync(join(home, 'base.yaml'), 'train: { steps: 40, checkpointEvery: 10 }\n')
  const points = ['points:', '  one: { model.stages: 1 }', '  two: { model.stages: 2 }', 'seeds: [0, 1]']
  const text = ['question: One or two?', 'base: base.yaml', ...points, ...lines, ''].join('\n')
  writeFileSync(join(home, 'sweep.yaml'), text)
  mkdirSync(join(home, 'runs'), { recursive: true })
  homes.push(home)
  return { home, file: join(home, 'sweep.yaml') }
}

const homes: string[] = []
afterEach(async () => {
  for (const home of homes.splice(0)) await endWorkers(home)
})

/** Plans and runs a sweep with fake workers. */
export function sweep(
  home: string,
  file: string,
  over: Partial<SweepOptions> & { sets?: string[]; only?: string[]; planOptions?: PlanOptions } = {},
) {
  const loaded = loadSweep(file)
  const all = expandPoints(loaded, over.sets)
  const points = over.only ? onlyPoints(all, over.only) : all
  const { runs, claims } = knownRuns(home, points, { force: over.force })
  const plan = planSweep(points, runs, over.planOptions)
  const updates: Update[] = []
  const result = runSweep({
    home,
    sweep: loaded,
    plan,
    fileKeys: keysOfFile(loaded),
    claims,
    launcher: localLauncher(FAKE_WORKER),
    jobs: 2,
    threads: 1,
    provenance: { argv: [], cwd: process.cwd(), git: { commit: null, dirty: false }, versions: {}, dirtyDiff: null },
    observe: (update) => updates.push(update),
    order: () => 'go',
    record: () => {},
    maxFailures: Number.POSITIVE_INFINITY,
    force: false,
    pollMs: 20,
    ...over,
  })
  return { plan, result, updates }
}

export const states = (home: string) => listRuns(home).map(({ dir }) => followRun(dir)())

/** Waits until something is so; a test that waits for ever fails by vitest's time limit. */
export async function until(what: () => boolean): Promise<void> {
  while (!what()) await sleep(10)
}

/** Kills the workers that a test left behind. */
async function endWorkers(home: string): Promise<void> {
  for (const { dir } of listRuns(home)) {
    const last = lastAttempt(dir)
    if (last === null || last.process.pid === process.pid || livenessOf(last.process) !== 'alive') continue
    process.kill(last.process.pid, 'SIGKILL')
    await until(() => livenessOf(last.process) === 'gone')
  }
}

/** A supervisor as a process of its own, which can be killed. */
export const superviseElsewhere = (home: string, file: string) =>
  spawn(SUPERVISOR[0], [...SUPERVISOR.slice(1), home, file, ...FAKE_WORKER], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
