import { parentPort, workerData } from 'node:worker_threads'
import { messageOf, UserError } from '../core/errors.ts'
import { createBatchMaker, type MadeBatch } from './batch.ts'
import type { StreamPlan } from './plan.ts'

/** A decoding thread: makes every `stride`-th batch ahead of the trainer, as many as it has credits for. */
export type ThreadTask = { plan: StreamPlan; cacheBytes: number; firstStep: number; stride: number; ahead: number }
export type FromThread =
  | { type: 'batch'; step: number; made: MadeBatch }
  | { type: 'failed'; message: string; hint: string | undefined; expected: boolean }
/** One more batch may be made. */
export type ToThread = 'credit'

const port = parentPort!
const { plan, cacheBytes, firstStep, stride, ahead } = workerData as ThreadTask

let credits = ahead
let wake = () => {}
port.on('message', (_: ToThread) => {
  credits++
  wake()
})

try {
  const maker = createBatchMaker(plan, cacheBytes)
  for (let step = firstStep; ; step += stride) {
    while (credits === 0)
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    credits--
    const made = await maker.make(step)
    const message: FromThread = { type: 'batch', step, made }
    port.postMessage(message, [made.batch.images.buffer, made.batch.tokens.buffer] as ArrayBuffer[])
  }
} catch (error) {
  const expected = error instanceof UserError
  const message = expected ? error.message : `${messageOf(error)}\n${(error as Error).stack ?? ''}`
  port.postMessage({ type: 'failed', message, hint: expected ? error.hint : undefined, expected } satisfies FromThread)
}
