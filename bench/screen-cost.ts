import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { lastAttempt } from '../lib/run/attempt.ts'
import { listRuns } from '../lib/run/folder.ts'
import { followRun } from '../lib/run/follow.ts'
import { openSession } from '../test/tui/pty.ts'
import { cpuSeconds } from './usage.ts'

/**
 * What the screen costs a training: `npx tsx bench/screen-cost.ts [--pairs 8] [--seconds 15]`. One real training of one thread; in turns
 * `gvx watch` shows its charts and nobody looks, so that what else the machine does falls on both alike. Told are the medians
 * of the steps a second and of the worker's processor time for a step, and how the pairs differ.
 */
const { values } = parseArgs({
  options: { pairs: { type: 'string', default: '8' }, seconds: { type: 'string', default: '15' } },
})
const [pairs, seconds] = [values.pairs, values.seconds].map(Number)
const GVX = resolve(import.meta.dirname, '../bin/gvx.js')

const CONFIG = `
model: { imageSize: 32, patchSize: 8, embedDim: 64, numHeads: 4, depth: 4, stages: 1, text: { width: 64, depth: 2, numHeads: 4, contextLength: 16 } }
data: { scenes: { size: 32, train: 200, val: 6, test: 6 } }
train: { steps: 1000000, batchSize: 16, logEvery: 1, checkpointEvery: 1000 }
eval: { every: 1000000, limit: 4 }
`

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
  const seen: Window[] = []
  const unseen: Window[] = []
  for (let i = 0; i < pairs; i++) {
    unseen.push(await watchWorker())
    const screen = openSession(GVX, ['watch', '--home', home], { columns: 120, rows: 40 })
    await screen.until('? help')
    screen.type('2')
    await sleep(2000)
    seen.push(await watchWorker())
    screen.type('qd')
    await screen.exited
  }
  const percent = (of: (window: Window) => number) => {
    const differences = seen.map((window, i) => 100 * (of(window) / of(unseen[i]) - 1))
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(differences, share).toFixed(2))
    return `${quantile(unseen.map(of), 0.5).toFixed(3)} without, ${quantile(seen.map(of), 0.5).toFixed(3)} with; pairs differ by ${middle} % (quartiles ${low}, ${high})`
  }
  console.log(`steps a second: ${percent(({ steps, wall }) => steps / wall)}`)
  console.log(`processor ms for a step: ${percent(({ steps, cpu }) => (1000 * cpu) / steps)}`)
} finally {
  training.kill('SIGINT')
  await once(training, 'exit')
  rmSync(home, { recursive: true, force: true })
}

type Window = { steps: number; wall: number; cpu: number }

/** Steps, seconds and processor seconds of the worker in one turn. */
async function watchWorker(): Promise<Window> {
  const [{ dir }] = listRuns(home)
  const { pid } = lastAttempt(dir)!.process
  const follow = followRun(dir)
  const [step, cpu, begin] = [follow().step, cpuSeconds(pid), performance.now()]
  await sleep(1000 * seconds)
  return { steps: follow().step - step, wall: (performance.now() - begin) / 1000, cpu: cpuSeconds(pid) - cpu }
}

function quantile(list: readonly number[], share: number): number {
  const sorted = [...list].sort((a, b) => a - b)
  return sorted[Math.round(share * (sorted.length - 1))]
}
