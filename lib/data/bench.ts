import type { Config } from '../config/schema.ts'
import type { OnProgress } from './scenes/write.ts'
import { openTrainStream } from './stream.ts'

export type StreamSpeed = {
  images: number
  seconds: number
  imagesPerSecond: number
  /** Seconds from opening the stream to its first batch. */
  firstBatchSeconds: number
  /** Processor seconds for a thousand images, all threads together. */
  cpuSecondsPerThousand: number
  /** Resident memory in bytes when the first tenth was read, after each tenth, and at the end. */
  memory: { early: number; tenths: number[]; end: number }
  faults: Record<string, number>
}

/** How fast the training stream alone delivers: reads batches for `seconds`, or `images` of them, whichever is reached first. */
export async function benchStream(
  config: Config,
  home: string,
  limit: { seconds: number; images: number },
  signal: AbortSignal,
  onProgress?: OnProgress,
): Promise<StreamSpeed> {
  const opened = performance.now()
  const stream = await openTrainStream({ config, home, startStep: 0, onFault: () => {}, onProgress })
  try {
    await stream.next()
    const started = performance.now()
    const cpu = process.cpuUsage()
    const elapsed = () => (performance.now() - started) / 1000
    let images = 0
    const tenths: number[] = []
    while (elapsed() < limit.seconds && images < limit.images && !signal.aborted) {
      await stream.next()
      images += config.train.batchSize
      const share = Math.max(elapsed() / limit.seconds, images / limit.images)
      if (share >= (tenths.length + 1) / 10) tenths.push(process.memoryUsage.rss())
    }
    const seconds = elapsed()
    const { user, system } = process.cpuUsage(cpu)
    return {
      images,
      seconds,
      imagesPerSecond: images / seconds,
      firstBatchSeconds: (started - opened) / 1000,
      cpuSecondsPerThousand: (user + system) / 1000 / images,
      memory: { early: tenths[0] ?? 0, tenths, end: process.memoryUsage.rss() },
      faults: stream.faults(),
    }
  } finally {
    await stream.close()
  }
}
