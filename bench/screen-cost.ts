import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import CliTable from 'cli-table3'
import { median } from '../lib/core/statistics.ts'
import { lastAttempt } from '../lib/run/attempt.ts'
import { listRuns } from '../lib/run/folder.ts'
import { followRun } from '../lib/run/follow.ts'
import { openSession } from '../test/tui/pty.ts'
import { cpuNanoseconds } from './usage.ts'

/**
 * What the screen costs a training: `npx tsx bench/screen-cost.ts [--pairs 22] [--seconds 4] [--minutes 4.5]`. One real training of one
 * thread; in turns `gvx watch` shows its charts and nobody looks, which of the two first alternating, so that what else the machine does
 * falls on both alike. Told are the steps a second and the worker's processor time for a step, which other processes disturb
 * less, and the differences within the pairs: median, quartiles and the exact 95 % interval of the median.
 */
const { values } = parseArgs({
  options: {
    pairs: { type: 'string', default: '22' },
    seconds: { type: 'string', default: '4' },
    minutes: { type: 'string', default: '4.5' },
  },
})
const [pairs, seconds, minutes] = [values.pairs, values.seconds, values.minutes].map(Number)

const GVX = resolve(import.meta.dirname, '../bin/gvx.js')

const CONFIG = `
model: { imageSize: 32, patchSize: 8, embedDim: 64, numHeads: 4, depth: 4, stages: 1, text: { width: 64, depth: 2, numHeads: 4, contextLength: 16 } }
data: { scenes: { size: 32, train: 200, val: 6, test: 6 } }
train: { steps: 1000000, batchSize: 16, logEvery: 1, checkpointEvery: 1000 }
eval: { every: 1000000, limit: 4 }
`

const RATE = ({ steps, wall }: Window) => steps / wall
const CPU = ({ steps, cpu }: Window) => cpu / steps

const home = mkdtempSync(join(tmpdir(), 'gvx-bench-screen-'))
writeFileSync(join(home, 'train.yaml'), CONFIG)
const training = spawn(process.execPath, [GVX, 'train', 'train.yaml', '--plain', '--home', home], {
  cwd: home,
  env: { ...process.env, GVX_THREADS: '1' },
  stdio: ['ignore', 'ignore', 'inherit'],
})
try {
  while (!listRuns(home).some(({ dir }) => followRun(dir)().step >= 50)) {
    if (training.exitCode !== null) throw new Error('the training ended')
    await sleep(200)
  }
  const measured: Pair[] = []
  const started = performance.now()
  const timeOver = () => {
    const each = (performance.now() - started) / Math.max(1, measured.length)
    return measured.length > 0 && performance.now() - started + each > 60_000 * minutes
  }
  while (measured.length < pairs && !timeOver()) {
    const pair =
      measured.length % 2 === 0
        ? { without: await watchWorker(), shown: await watchedWorker() }
        : { shown: await watchedWorker(), without: await watchWorker() }
    measured.push(pair)
    const [rate, cpu] = [RATE, CPU].map((of) => percent(difference(pair, of)))
    const elapsed = Math.round((performance.now() - started) / 1000)
    console.error(
      `pair ${measured.length} of ${pairs}, ${elapsed} s: steps a second ${rate} %, processor time ${cpu} %`,
    )
  }
  report(measured)
} finally {
  training.kill('SIGINT')
  await once(training, 'exit')
  rmSync(home, { recursive: true, force: true })
}

type Window = { steps: number; wall: number; cpu: number }
type Pair = { without: Window; shown: Window }

/** Steps, seconds and processor milliseconds of the worker in one turn. */
async function watchWorker(): Promise<Window> {
  const [{ dir }] = listRuns(home)
  const { pid } = lastAttempt(dir)!.process
  const follow = followRun(dir)
  const [step, cpu, since] = [follow().step, cpuNanoseconds(pid), performance.now()]
  await sleep(1000 * seconds)
  const [steps, used, wall] = [follow().step - step, cpuNanoseconds(pid) - cpu, performance.now() - since]
  return { steps, wall: wall / 1000, cpu: used / 1e6 }
}

/** The same while the screen shows the charts of the run. */
async function watchedWorker(): Promise<Window> {
  const screen = openSession(GVX, ['watch', '--home', home], { columns: 120, rows: 40 })
  await screen.until('? help')
  screen.type('2')
  await screen.until('learning rate')
  await sleep(1000)
  const window = await watchWorker()
  screen.type('q')
  await screen.until('leave how?')
  screen.type('d')
  await screen.exited
  return window
}

function report(measured: readonly Pair[]): void {
  const row = (name: string, digits: number, of: (window: Window) => number) => {
    const differences = measured.map((pair) => difference(pair, of)).sort((a, b) => a - b)
    const [from, to] = medianInterval(differences)
    const typical = (which: keyof Pair) => median(measured.map((pair) => of(pair[which]))).toFixed(digits)
    const range = (low: number, high: number) => `${percent(low)} to ${percent(high)}`
    return [
      name,
      typical('without'),
      typical('shown'),
      percent(median(differences)),
      range(quantile(differences, 0.25), quantile(differences, 0.75)),
      range(from, to),
    ]
  }
  const table = new CliTable({
    head: ['', 'without', 'with', 'difference %', 'quartiles', '95 % interval'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  })
  table.push(row('steps a second', 1, RATE), row('processor ms for a step', 3, CPU))
  console.log(
    `${measured.length} pairs of ${seconds} s each way; medians; load ${loadavg()[0].toFixed(1)} on ${cpus().length} cores`,
  )
  console.log(table.toString())
}

function difference({ without, shown }: Pair, of: (window: Window) => number): number {
  return 100 * (of(shown) / of(without) - 1)
}

function percent(value: number): string {
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`
}

/**
 * The exact 95 % interval of a median, whatever the distribution: between the kth smallest and the kth largest value, where fewer than k of
 * n fair coins show heads in at most 2.5 % of all cases. Of fewer than six values, all that there are.
 */
function medianInterval(sorted: readonly number[]): [number, number] {
  const n = sorted.length
  let k = 0
  let ways = 1 // n over k
  let below = 2 ** -n // P(heads <= k)
  while (below <= 0.025) {
    k += 1
    ways *= (n - k + 1) / k
    below += ways * 2 ** -n
  }
  const at = Math.max(0, k - 1)
  return [sorted[at], sorted[n - 1 - at]]
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.round(share * (sorted.length - 1))]
}
