import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import type { LoggedEvent } from '../../lib/core/events.ts'
import { createRun, type RunFolder } from '../../lib/run/folder.ts'
import { followRun } from '../../lib/run/follow.ts'
import { presentBackends } from '../golden/backends.ts'
import { newRun, temporaryFolder } from './temporary.ts'

// Each run is a process of its own, and the machine may be busy with others.
vi.setConfig({ testTimeout: 600_000 })

const GVX = fileURLToPath(new URL('../../bin/gvx.js', import.meta.url))
const N = 12

/** Everything random at once: noise of the assignment, drop path, dropout, augmentation, nouns, templates, shuffling. */
const configOf = (mode: string, backend: string) =>
  configSchema.parse({
    seed: 7,
    model: {
      imageSize: 16,
      patchSize: 4,
      embedDim: 16,
      numHeads: 2,
      depth: 3,
      groupTokens: 5,
      segments: 3,
      dropPathRate: 0.3,
      dropoutRate: 0.1,
      assignment: { mode },
      text: { width: 16, depth: 1, numHeads: 2, contextLength: 16 },
      projection: { dim: 8, hiddenDim: 12 },
    },
    data: { augment: 'reference', shuffleBuffer: 16, scenes: { size: 24, train: 48, val: 2, test: 2 } },
    train: { steps: 2 * N, batchSize: 8, learningRate: 0.01, logEvery: 1, checkpointEvery: N },
    eval: { every: 1000, limit: 2 },
    runtime: { backend, threads: 1 },
  })

const start = (run: RunFolder) =>
  spawn(process.execPath, [GVX, 'worker', run.dir], { stdio: ['ignore', 'inherit', 'inherit'] })

async function trainToEnd(run: RunFolder): Promise<void> {
  const [code] = await once(start(run), 'exit')
  expect(code).toBe(0)
}

/** Kills the worker once it has logged this step. */
async function killAfter(run: RunFolder, step: number): Promise<void> {
  const worker = start(run)
  const reached = setInterval(() => {
    if (eventsOf(run).some((event) => event.type === 'metric' && event.step >= step)) worker.kill('SIGKILL')
  }, 2)
  const [, signal] = await once(worker, 'exit')
  clearInterval(reached)
  expect(signal).toBe('SIGKILL')
}

function eventsOf(run: RunFolder): LoggedEvent[] {
  const all: LoggedEvent[] = []
  followRun(run.dir)((events) => all.push(...events))
  return all
}

/** The losses and norms of every step, the last to be logged of each. */
const stepsOf = (run: RunFolder) =>
  Object.fromEntries(
    eventsOf(run).flatMap((event) =>
      event.type === 'metric' && 'train/loss' in event.values
        ? [[event.step, [event.values['train/loss'], event.values['train/multiLabel'], event.values['optim/gradNorm']]]]
        : [],
    ),
  )

/** The bytes of the last checkpoint: weights and BatchNorm statistics, moments, and where the data stands. */
function lastCheckpoint(run: RunFolder) {
  const folder = join(run.dir, 'checkpoints')
  const name = readdirSync(folder)
    .filter((entry) => entry.startsWith('step-'))
    .sort()
    .at(-1)!
  const bytes = (file: string) => readFileSync(join(folder, name, file)).toString('base64')
  const { step, state } = JSON.parse(readFileSync(join(folder, name, 'state.json'), 'utf8'))
  return { step, state, model: bytes('model.safetensors'), optimizer: bytes('optimizer.safetensors') }
}

describe.each((await presentBackends({ fast: true })).slice(0, 1))('a run on %s', (backend) => {
  test.each(['gumbel', 'hard', 'soft'])(
    '%s: 2N steps in one go equal N steps, a kill -9 at some moment and N more, to the bit',
    async (mode) => {
      const home = temporaryFolder()
      const config = configOf(mode, backend)
      const [whole, killed] = [0, 1].map(() => createRun(home, newRun({ config })))
      await trainToEnd(whole)
      const moment = N + 1 + Math.floor(Math.random() * (N - 5)) // after the checkpoint of step N, before the last steps
      await killAfter(killed, moment)
      await trainToEnd(killed)

      const started = eventsOf(killed).flatMap((event) => (event.type === 'run.started' ? [event.resumedFrom] : []))
      expect(started, `killed after step ${moment}`).toEqual([0, N])
      expect(stepsOf(killed), `killed after step ${moment}`).toEqual(stepsOf(whole))
      const epochs = eventsOf(whole).flatMap((event) =>
        event.type === 'metric' ? (event.values['train/epoch'] ?? []) : [],
      )
      expect(epochs.at(-1), '24 batches of 8 from 48 images').toBe(4)
      const [a, b] = [whole, killed].map(lastCheckpoint)
      expect(a.step).toBe(2 * N)
      expect(b, `killed after step ${moment}`).toEqual(a)
    },
  )
})
