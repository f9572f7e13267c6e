import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { configHash } from '../lib/config/hash.ts'
import { loadConfig } from '../lib/config/load.ts'
import type { PlannedPoint } from '../lib/core/updates.ts'
import { createRun, listRuns } from '../lib/run/folder.ts'
import { type EventLog, openEventLog } from '../lib/run/log.ts'
import { thisProcess } from '../lib/run/process.ts'
import { recordSweep } from '../lib/sweep/record.ts'
import { sweepOfOne } from '../lib/sweep/spec.ts'
import { openSession, type Session } from '../test/tui/pty.ts'
import { cpuNanoseconds, cpuSeconds, memoryMB } from './usage.ts'

/**
 * The screen on a large home: `npx tsx bench/screen.ts --home DIR [--times 5] [--seconds 20] [--json]`, where DIR was made by
 * `bench/store.ts --keep DIR`. Four runs of this process go on training there, as far as anybody can see. Told are
 * - the start of `gvx watch` in a pseudo-terminal, from the start of the process to the first whole frame: with the four runs
 *   alone, and with all runs of the home as one sweep;
 * - the share of a core that it takes while it follows the four, 20 metrics twice a second each, on the board and on the charts.
 */
const { values } = parseArgs({
  options: {
    home: { type: 'string' },
    times: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
})
if (!values.home) throw new Error('--home DIR: a home that bench/store.ts --keep made')
const home = resolve(values.home)
const [times, seconds] = [values.times, values.seconds].map(Number)
const GVX = resolve(import.meta.dirname, '../bin/gvx.js')

rmSync(join(home, 'runs/sweeps'), { recursive: true, force: true })
const logs = [0, 1, 2, 3].map(startRun)
let step = 0
const writing = setInterval(() => {
  step += 1
  for (const log of logs) log.emit({ type: 'metric', step, values: metricsAt(step) })
}, 500)
const results: Record<string, number> = {}
try {
  const alone = await starts()
  results['start, four runs, ms'] = alone.wall
  results['processor time of it, ms'] = alone.cpu
  for (const [name, keys] of [
    ['board', ''],
    ['charts', '\r'],
  ]) {
    const session = await openScreen()
    session.type(keys)
    await sleep(3000)
    const before = cpuNanoseconds(session.pid)
    const begin = performance.now()
    await sleep(1000 * seconds)
    const share = (cpuNanoseconds(session.pid) - before) / 1e6 / (performance.now() - begin)
    results[`following four runs, ${name}, % of a core`] = 100 * share
    results['memory, MB'] = memoryMB(session.pid)
    await leave(session)
  }
  recordAll()
  const whole = await starts()
  results['start, all runs as one sweep, ms'] = whole.wall
  results['processor time of it, all, ms'] = whole.cpu
  const session = await openScreen()
  const begin = performance.now()
  await session.until((frame) => /500 finished/.test(frame))
  await sleep(2000)
  results['until all of their logs are read, ms'] = await untilIdle(session, begin)
  results['memory with all of them, MB'] = memoryMB(session.pid)
  await leave(session)
} finally {
  clearInterval(writing)
  for (const log of logs) {
    log.emit({ type: 'run.finished', step, status: 'stopped', error: null })
    log.close()
  }
}
if (values.json) console.log(JSON.stringify(results))
else
  for (const [name, value] of Object.entries(results)) console.log(`${name.padEnd(40)}${Number(value.toPrecision(3))}`)

function openScreen(): Promise<Session> {
  const session = openSession(GVX, ['watch', '--home', home], { columns: 120, rows: 40 })
  return session.until((frame) => /4 running[\s\S]*\? help/.test(frame)).then(() => session)
}

async function leave(session: Session): Promise<void> {
  session.type('qd')
  await session.exited
}

/** Median milliseconds from the start of the process to the first whole frame, and the processor time of it. */
async function starts(): Promise<{ wall: number; cpu: number }> {
  const walls: number[] = []
  const cpus: number[] = []
  for (let i = 0; i < times; i++) {
    const begin = performance.now()
    const session = await openScreen()
    walls.push(performance.now() - begin)
    cpus.push(1000 * cpuSeconds(session.pid))
    await leave(session)
  }
  const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]
  return { wall: median(walls), cpu: median(cpus) }
}

/** Milliseconds since `begin` at which the process had done what there was to do: less than a fifth of a core for a second. */
async function untilIdle({ pid }: Session, begin: number): Promise<number> {
  for (let before = cpuSeconds(pid); ; before = cpuSeconds(pid)) {
    await sleep(1000)
    if (cpuSeconds(pid) - before < 0.2) return performance.now() - begin
  }
}

function metricsAt(at: number): Record<string, number> {
  const names = ['train/loss', 'train/contrastive', 'optim/gradNorm', 'optim/learningRate', 'perf/imagesPerSecond']
  const other = Array.from({ length: 20 - names.length }, (_, i) => `train/metric${i}`)
  return Object.fromEntries([...names, ...other].map((name, i) => [name, 3 + Math.sin(at * (i + 1))]))
}

/** A run that this process works on. */
function startRun(seed: number): EventLog {
  const { config } = loadConfig(null, { sets: [`seed=${seed}`, 'train.steps=100000'] })
  const hash = configHash(config)
  const git = { commit: null, dirty: false }
  const run = createRun(home, {
    name: 'live',
    label: 'live',
    kind: 'train',
    configHash: hash,
    seed,
    sweep: 'bench',
    point: `live/seed=${seed}-${process.pid}`,
    argv: [],
    cwd: home,
    git,
    versions: {},
    config,
  })
  const log = openEventLog(run.dir)
  const me = thisProcess()
  const place = { host: me.host, pid: me.pid, pidStarted: null, backend: 'none', device: 'CPU', threads: 1 }
  log.emit({ type: 'run.started', attempt: 1, resumedFrom: 0, totalSteps: 100_000, git, versions: {}, ...place })
  return log
}

/** Makes one sweep of all runs of the home. */
function recordAll(): void {
  const points = listRuns(home).map(({ identity: { id, label, seed, configHash } }): PlannedPoint => {
    const key = `${id} ${label}`
    return { key, label, seed, overrides: {}, configHash, totalSteps: 0, action: 'running', reason: '', run: id }
  })
  recordSweep(home, { ...sweepOfOne('scenes.yaml', 'all'), name: 'all' }, { points, fileKeys: null })
}
