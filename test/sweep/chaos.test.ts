import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { decodeEvent } from '../../lib/core/events.ts'
import { lastAttempt } from '../../lib/run/attempt.ts'
import { listRuns } from '../../lib/run/folder.ts'
import { livenessOf } from '../../lib/run/process.ts'
import { openStore } from '../../lib/store/open.ts'
import { refresh } from '../../lib/store/status.ts'
import { checkDatabase } from '../../lib/store/upkeep.ts'
import { gvx } from '../cli/gvx.ts'
import { openSession, type Session } from '../tui/pty.ts'
import { superviseElsewhere, sweepFolder, until } from './bench.ts'

/**
 * Two supervisors of one sweep, their workers and a screen are killed with -9 at random moments, and started again, so often.
 * GVX_CHAOS=50 is what is promised; fewer tell a day-to-day mistake.
 */
const KILLS = Number(process.env.GVX_CHAOS ?? 6)
const STEPS = 40
const GVX = resolve(import.meta.dirname, '../../bin/gvx.js')

vi.setConfig({ testTimeout: 120_000 + KILLS * 10_000 })

const supervisors: (ChildProcess | null)[] = [null, null]
let screen: (Session & { open: boolean }) | null = null
afterEach(() => {
  for (const process of supervisors) process?.kill('SIGKILL')
  if (screen?.open) screen.kill('SIGKILL')
  delete process.env.GVX_FAKE_MS
  delete process.env.GVX_TEST_JOBS
})

/** Starts what is not there: what was killed, and what has ended by itself. */
function keepAlive(home: string, file: string): void {
  supervisors.forEach((process, i) => {
    if (process === null || process.exitCode !== null || process.signalCode !== null)
      supervisors[i] = superviseElsewhere(home, file)
  })
  if (screen?.open) return
  const session = { ...openSession(GVX, ['watch', '--home', home], { columns: 80, rows: 24 }), open: true }
  session.exited.then(() => {
    session.open = false
  })
  screen = session
}

type Victim = { kind: 'worker' | 'supervisor' | 'screen'; pid: number }

const workersAlive = (home: string): number[] =>
  listRuns(home).flatMap(({ dir }) => {
    const last = lastAttempt(dir)
    return last !== null && livenessOf(last.process) === 'alive' ? [last.process.pid] : []
  })

function victims(home: string): Victim[] {
  return [
    ...workersAlive(home).map((pid): Victim => ({ kind: 'worker', pid })),
    ...supervisors.flatMap((child): Victim[] =>
      child?.exitCode === null && child.signalCode === null ? [{ kind: 'supervisor', pid: child.pid! }] : [],
    ),
    ...(screen?.open ? [{ kind: 'screen' as const, pid: screen.pid }] : []),
  ]
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false // it ended meanwhile
  }
}

const anyOf = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]

/** Every process that was started for this home, those too that have not claimed a run yet. */
const processesOf = (home: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/cmdline`).includes(home))
    .map(Number)

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // it ended meanwhile; what is dead and not yet buried has no command line either
  }
}

/** With everybody dead no run may look as if somebody were at work on it. */
async function expectNobodyAtWork(home: string): Promise<void> {
  await until(() => {
    const left = processesOf(home)
    for (const pid of left) kill(pid)
    return left.length === 0
  })
  const { code, stdout } = await gvx(['runs', '--json'], { home })
  expect(code).toBe(0)
  const statuses = JSON.parse(stdout).rows.map(({ status }: { status: string }) => status)
  expect(statuses.filter((status: string) => !['finished', 'lost', 'queued'].includes(status))).toEqual([])
}

/** What the log of a run says in the end: attempts in their order, each taking back what came after the step it began at. */
function pointsOfLog(dir: string): Map<number, Record<string, number>> {
  const points = new Map<number, Record<string, number>>()
  const attempts = readdirSync(dir).flatMap((name) => /^events\.(\d+)\.jsonl$/.exec(name)?.[1] ?? [])
  for (const attempt of attempts.map(Number).sort((a, b) => a - b)) {
    const whole = readFileSync(join(dir, `events.${attempt}.jsonl`), 'utf8')
      .split('\n')
      .slice(0, -1)
    for (const line of whole) {
      const event = decodeEvent(line)
      if (event?.type === 'run.started')
        for (const step of [...points.keys()]) if (step > event.resumedFrom) points.delete(step)
      if (event?.type === 'metric') points.set(event.step, event.values)
    }
  }
  return points
}

function pointsOfDatabase(home: string): Map<number, Map<number, Record<string, number>>> {
  const store = openStore(home)
  try {
    refresh(store, (dir, error) => {
      throw new Error(`${dir}: ${error}`)
    })
    expect(checkDatabase(home).problems).toEqual([])
    const rows = store.sql('SELECT number, name, step, value FROM v_metrics').all() as {
      number: number
      name: string
      step: number
      value: number
    }[]
    const runs = new Map<number, Map<number, Record<string, number>>>()
    for (const { number, name, step, value } of rows) {
      const points = runs.get(number) ?? new Map<number, Record<string, number>>()
      runs.set(number, points)
      points.set(step, { ...points.get(step), [name]: value })
    }
    return runs
  } finally {
    store.close()
  }
}

test(`${KILLS} kills of workers, supervisors and the screen lose no number and leave no run running`, async () => {
  const { home, file } = sweepFolder()
  const seeds = Array.from({ length: Math.max(4, KILLS) }, (_, i) => i)
  writeFileSync(file, readFileSync(file, 'utf8').replace('seeds: [0, 1]', `seeds: [${seeds}]`))
  Object.assign(process.env, { GVX_FAKE_MS: '12', GVX_TEST_JOBS: '1' })
  const killed = { worker: 0, supervisor: 0, screen: 0 }
  const total = () => killed.worker + killed.supervisor + killed.screen
  while (total() < KILLS) {
    keepAlive(home, file)
    await until(() => workersAlive(home).length > 0)
    await sleep(100 + Math.random() * 700)
    const all = victims(home)
    const kind = anyOf([...new Set(all.map((victim) => victim.kind))])
    const victim = anyOf(all.filter((candidate) => candidate.kind === kind))
    if (kill(victim.pid)) killed[victim.kind] += 1
    if (total() % 10 === 0 && total() > 0) await expectNobodyAtWork(home)
  }
  await expectNobodyAtWork(home)
  process.env.GVX_FAKE_MS = '0'
  process.env.GVX_TEST_JOBS = '2'
  await once(superviseElsewhere(home, file), 'exit')

  console.log(`killed: ${JSON.stringify(killed)}; ${listRuns(home).length} runs`)
  const runs = listRuns(home)
  expect(new Set(runs.map(({ identity }) => identity.point)).size).toBe(runs.length)
  expect(runs.length).toBe(2 * seeds.length)
  const database = pointsOfDatabase(home)
  for (const { dir, identity } of runs) {
    const logged = pointsOfLog(dir)
    expect([...logged.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1))
    expect(database.get(Number(identity.id.slice(3)))).toEqual(logged)
  }
  const { stdout } = await gvx(['runs', '--json', '--cols', 'status'], { home })
  expect(new Set(JSON.parse(stdout).rows.map(({ status }: { status: string }) => status))).toEqual(
    new Set(['finished']),
  )
})
