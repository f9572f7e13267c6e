import { createInterface } from 'node:readline'
import { nativeBackend } from '../backends/native/current.ts'
import { type KernelCost, profiled } from '../backends/native/profile.ts'
import { messageOf } from '../core/errors.ts'
import { type BackendName, openBackend } from '../tensor/index.ts'
import { sizeNamed } from './sizes.ts'
import { evaluationStep, type Kind, type Step, trainingStep } from './steps.ts'

/**
 * One backend in a process of its own. The first line it reads is its job, as JSON; it says `{ready}`, then answers every further line
 * by one step and its milliseconds, of the clock and of all its threads, and the end of its input by its peak memory and, where the backend can tell,
 * by what a step costs and what the machine could do. bench/peers/torch_step.py speaks the same way, so that the two can
 * take turns.
 */
export type Job = {
  kind: Kind
  size: string
  backend: BackendName
  threads: number
  batch: number
  /** Of a training batch: batchTokens. They come from outside, so that the memory of what makes them is not measured. */
  tokens: number[]
  /** Steps that are looked into at the end, of which the fastest counts. */
  profiledSteps: number
}

/** What one step costs, and the ceilings of the machine. */
export type Cost = {
  /** Of the step that was looked into. */
  milliseconds: number
  kernels: KernelCost[]
  /** Of the calling thread: in the kernels and around them in C++. The rest is JavaScript. */
  insideSeconds: number
  /** Operations a second of one core in registers alone. */
  fmaPeak: number
  /** Bytes a second to and from memory. */
  memoryBandwidth: number
}

try {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  const job = JSON.parse((await lines.next()).value) as Job
  const size = sizeNamed(job.size)
  const { device } = await openBackend(job)
  const step = job.kind === 'train' ? trainingStep(size, job.batch, job.tokens) : evaluationStep(size, job.batch)
  say({ ready: device })
  let [fmaPeak, asked] = [0, Number.NEGATIVE_INFINITY]
  for await (const _ of lines) {
    const [start, used] = [performance.now(), process.cpuUsage()]
    await step()
    const { user, system } = process.cpuUsage(used)
    say({ ms: performance.now() - start, cpuMs: (user + system) / 1e3 })
    // Beside the steps, so that both see the same machine. It takes 3 ms: not after each of many short steps.
    if (performance.now() - asked > 250) {
      fmaPeak = Math.max(fmaPeak, nativeBackend()?.addon.fmaPeak() ?? 0)
      asked = performance.now()
    }
  }
  const peakBytes = process.resourceUsage().maxRSS * 1024
  say({ peakBytes, cost: await costOf(step, job.profiledSteps, fmaPeak) })
} catch (error) {
  say({ failed: messageOf(error) })
}

async function costOf(step: Step, times: number, fmaPeak: number): Promise<Cost | null> {
  const addon = nativeBackend()?.addon
  if (!addon) return null
  let best: Omit<Cost, 'fmaPeak' | 'memoryBandwidth'> | null = null
  for (let i = 0; i < times; i++) {
    const start = performance.now()
    const profile = await profiled(addon, step)
    const milliseconds = performance.now() - start
    if (!best || milliseconds < best.milliseconds) best = { milliseconds, ...profile }
  }
  return best && { ...best, fmaPeak, memoryBandwidth: addon.memoryBandwidth() }
}

function say(message: object) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
