import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import CliTable from 'cli-table3'
import { randomStream } from '../lib/core/rng.ts'
import { lastAttempt } from '../lib/run/attempt.ts'
import { listRuns } from '../lib/run/folder.ts'
import { readEvents } from '../lib/run/log.ts'
import { openSession } from '../test/tui/pty.ts'
import { cpuNanoseconds } from './usage.ts'

/**
 * What the screen costs a training: `npx tsx bench/screen-cost.ts [--minutes 7] [--slice 2] [--keys 2] [--json]`.
 *
 * One real training on all cores, which a supervisor in the background looks after (`gvx train --detach`), and `gvx watch` on it in a
 * pseudo-terminal, on the charts of the run unless `--keys` says otherwise. In short slices of it the process of the screen goes on
 * (SIGCONT) or is held (SIGSTOP). Two neighbouring slices are a pair, and which of the two has the screen alternates, so that what else
 * the machine does falls on both alike. What the screen missed while it was held it reads when it goes on, and that counts.
 *
 * Told are the clock's time and the worker's processor time of a step (their trimmed mean over the pairs and its 95 % bootstrap interval),
 * and a bound that no noise touches: the processor time of the screen, as a share of a core and of all cores. The terminal is on this
 * machine, too; over SSH it is on another.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '7' },
    slice: { type: 'string', default: '2' },
    keys: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
})
const [minutes, slice] = [values.minutes, values.slice].map(Number)

const CORES = availableParallelism()
const GVX = resolve(import.meta.dirname, '../bin/gvx.js')
const CONFIG = `
model: { imageSize: 32, patchSize: 8, embedDim: 64, numHeads: 4, depth: 4, stages: 1, text: { width: 64, depth: 2, numHeads: 4, contextLength: 16 } }
data: { scenes: { size: 32, train: 200, val: 6, test: 6 } }
train: { steps: 1000000, batchSize: 16, logEvery: 1, checkpointEvery: 1000000 }
eval: { every: 1000000, limit: 4 }
`

/** Milliseconds since the epoch, and nanoseconds of processor time used so far. */
type Moment = { time: number; worker: number; screen: number; terminal: number }
type Slice = { from: Moment; to: Moment }
type Pair = { held: Slice; shown: Slice }
/** Of a slice: milliseconds of a step, by the clock and of the worker's processor time. */
type Costs = { clock: number; processor: number }

const home = mkdtempSync(join(tmpdir(), 'gvx-bench-screen-'))
writeFileSync(join(home, 'train.yaml'), CONFIG)
const gvx = (...args: string[]) => execFileSync(process.execPath, [GVX, ...args, '--home', home], { stdio: 'ignore' })
gvx('train', join(home, 'train.yaml'), '--detach')
while (listRuns(home).length === 0) await sleep(200)
const screen = openSession(GVX, ['watch', '--home', home], { columns: 120, rows: 40 })
const signal = (name: 'SIGSTOP' | 'SIGCONT') => process.kill(screen.pid, name)
try {
  await screen.until('? help')
  screen.type(values.keys)
  await screen.until(/[1-9]\d\d+\/1000000/, 120_000)
  await sleep(30_000) // what runs once a second is compiled late
  const [{ dir }] = listRuns(home)
  const { pid } = lastAttempt(dir)!.process
  const now = (): Moment => ({
    time: Date.now(),
    worker: cpuNanoseconds(pid),
    screen: cpuNanoseconds(screen.pid),
    terminal: 1000 * (process.cpuUsage().user + process.cpuUsage().system),
  })
  const take = async (shown: boolean): Promise<Slice> => {
    signal(shown ? 'SIGCONT' : 'SIGSTOP')
    const from = now()
    await sleep(1000 * slice)
    return { from, to: now() }
  }
  const pairs: Pair[] = []
  const end = performance.now() + 60_000 * minutes
  while (pairs.length < 2 || performance.now() + 2000 * slice < end) {
    // with, without, without, with, …: between two pairs nothing changes
    if (pairs.length % 2 === 0) pairs.push({ shown: await take(true), held: await take(false) })
    else pairs.push({ held: await take(false), shown: await take(true) })
  }
  await sleep(2000) // until the log reaches over the last slice
  report(dir, pairs)
} finally {
  screen.kill('SIGKILL') // it may be held
  gvx('stop', 'run1')
  await sleep(3000) // until the supervisor has seen it
  rmSync(home, { recursive: true, force: true, maxRetries: 20 })
}

function report(dir: string, pairs: readonly Pair[]): void {
  const costsOf = readCosts(dir)
  const costs = pairs.map(({ held, shown }) => ({ held: costsOf(held), shown: costsOf(shown) }))
  const slower = (of: keyof Costs) => {
    const differences = costs.map(({ held, shown }) => 100 * Math.log(shown[of] / held[of]))
    const [low, high] = bootstrapInterval(differences)
    const typical = (which: keyof Pair) => trimmedMean(costs.map((pair) => pair[which][of]))
    return { held: typical('held'), shown: typical('shown'), percent: trimmedMean(differences), low, high }
  }
  const share = (of: 'screen' | 'terminal', which: keyof Pair) =>
    sum(pairs.map((pair) => pair[which].to[of] - pair[which].from[of])) /
    sum(pairs.map((pair) => 1e6 * (pair[which].to.time - pair[which].from.time)))
  const result = {
    pairs: pairs.length,
    slice,
    cores: CORES,
    load: loadavg()[0],
    clock: slower('clock'),
    processor: slower('processor'),
    screen: 100 * share('screen', 'shown'),
    terminal: 100 * (share('terminal', 'shown') - share('terminal', 'held')),
  }
  if (values.json) {
    console.log(JSON.stringify(result))
    return
  }
  const table = new CliTable({
    head: ['of a step', 'held', 'shown', 'slower by %', '95 % interval'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  for (const [name, { held, shown, percent, low, high }] of [
    ['ms by the clock', result.clock],
    ['ms of the worker’s processor time', result.processor],
  ] as const)
    table.push([name, held.toFixed(2), shown.toFixed(2), signed(percent), `${signed(low)} to ${signed(high)}`])
  console.log(`${pairs.length} pairs of ${slice} s each way; load ${result.load.toFixed(1)} on ${CORES} cores`)
  console.log(table.toString())
  console.log(
    `the screen takes ${result.screen.toFixed(2)} % of a core, ${(result.screen / CORES).toFixed(2)} % of ${CORES}; ` +
      `the terminal that draws what it sends ${result.terminal.toFixed(2)} % of a core`,
  )
}

/** What a step cost in a slice, with the steps at its ends read between the lines of the log. */
function readCosts(dir: string): (slice: Slice) => Costs {
  const times: number[] = []
  const steps: number[] = []
  let offsets = {}
  for (let more = true; more; ) {
    const read = readEvents(dir, offsets)
    for (const event of read.events) {
      if (event.type !== 'metric') continue
      times.push(event.t)
      steps.push(event.step)
    }
    ;({ offsets, more } = read)
  }
  const stepAt = (time: number): number => {
    const after = times.findIndex((t) => t > time)
    if (after <= 0) throw new Error('the log does not reach over the slice')
    const share = (time - times[after - 1]) / (times[after] - times[after - 1])
    return steps[after - 1] + share * (steps[after] - steps[after - 1])
  }
  return ({ from, to }) => {
    const made = stepAt(to.time) - stepAt(from.time)
    return { clock: (to.time - from.time) / made, processor: (to.worker - from.worker) / 1e6 / made }
  }
}

/** The mean without the lowest and the highest fifth: a slice in which something else ran for a second says nothing. */
function trimmedMean(list: readonly number[]): number {
  const cut = Math.floor(list.length / 5)
  const kept = [...list].sort((a, b) => a - b).slice(cut, list.length - cut)
  return sum(kept) / kept.length
}

/** 95 % of the trimmed means of pairs drawn with replacement. */
function bootstrapInterval(differences: readonly number[], resamples = 4000): [number, number] {
  const random = randomStream(0, 'screen-cost')
  const means = Array.from({ length: resamples }, () => trimmedMean(differences.map(() => random.pick(differences))))
  means.sort((a, b) => a - b)
  return [means[Math.floor(0.025 * resamples)], means[Math.ceil(0.975 * resamples) - 1]]
}

function sum(list: readonly number[]): number {
  return list.reduce((a, b) => a + b, 0)
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`
}
