import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { type Batch, createBatchMaker, type MadeBatch } from './batch.ts'
import type { Fault } from './fault.ts'
import { createOrder } from './order.ts'
import { orderOf, planStream, type StreamPlan } from './plan.ts'
import { createQuota } from './quota.ts'
import type { OnProgress } from './scenes/write.ts'
import type { FromThread, ThreadTask, ToThread } from './stream-thread.ts'
import { startThread } from './thread.ts'

export type TrainStream = {
  /** The batch of the next step. @throws UserError above `data.faultQuota`, or where no sample can be used. */
  next(): Promise<Batch>
  /** Bad samples and shards so far, by kind. */
  faults(): Record<string, number>
  samplesPerEpoch: number
  /** Hash of the names and sizes of all samples. */
  fingerprint: string
  close(): Promise<void>
}

/** Decoded pixels that all threads together may keep. */
const CACHE_BYTES = 512 * 2 ** 20
/** Finished batches that may wait for the trainer: memory over all threads, and number by thread. */
const AHEAD_BYTES = 512 * 2 ** 20
const MAX_AHEAD = 4

/**
 * Opens the training stream at `startStep`. The batch of a step is a function of the configuration and the step alone:
 * resuming and the number of threads change nothing. `onFault` hears of each bad sample once.
 */
export async function openTrainStream(options: {
  config: Config
  home: string
  startStep: number
  onFault: (fault: Fault) => void
  onProgress?: OnProgress
}): Promise<TrainStream> {
  const { config, home, startStep } = options
  const { plan, faults, fingerprint } = await planStream(config, home, options.onProgress)
  const { samplesPerEpoch } = createOrder(orderOf(plan))
  const quota = createQuota(config.data.faultQuota, samplesPerEpoch, options.onFault)
  quota.structural(faults)
  const source = config.data.workers === 0 ? inline(plan) : threaded(plan, startStep, config.data.workers)
  let step = startStep
  return {
    async next() {
      const { batch, faults } = await source.take(step++)
      quota.drawn(plan.batchSize, faults)
      return batch
    },
    faults: quota.counts,
    samplesPerEpoch,
    fingerprint,
    close: source.close,
  }
}

type BatchSource = { take(step: number): Promise<MadeBatch>; close(): Promise<void> }

function inline(plan: StreamPlan): BatchSource {
  const maker = createBatchMaker(plan, CACHE_BYTES)
  return { take: maker.make, close: async () => maker.close() }
}

function threaded(plan: StreamPlan, firstStep: number, count: number): BatchSource {
  const batchBytes = plan.batchSize * plan.imageSize ** 2 * 12
  const ahead = Math.max(1, Math.min(MAX_AHEAD, Math.floor(AHEAD_BYTES / (batchBytes * count))))
  const ready = new Map<number, MadeBatch>()
  let failure: Error | null = null
  let arrived = () => {}
  const fail = (error: Error) => {
    failure ??= error
    arrived()
  }
  const threads = Array.from({ length: count }, (_, i) => {
    const task: ThreadTask = { plan, cacheBytes: CACHE_BYTES / count, firstStep: firstStep + i, stride: count, ahead }
    const thread = startThread('./stream-thread', import.meta.url, task)
    thread.on('message', (message: FromThread) => {
      if (message.type === 'failed') return fail(revive(message))
      ready.set(message.step, message.made)
      arrived()
    })
    thread.on('error', fail)
    return thread
  })

  return {
    async take(step) {
      while (!ready.has(step)) {
        if (failure) throw failure
        await new Promise<void>((resolve) => {
          arrived = resolve
        })
      }
      const made = ready.get(step)!
      ready.delete(step)
      threads[(step - firstStep) % count].postMessage('credit' satisfies ToThread)
      return made
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.terminate()))
    },
  }
}

const revive = ({ message, hint, expected }: Extract<FromThread, { type: 'failed' }>): Error =>
  expected ? new UserError(message, { hint }) : new Error(message)
