import type { Worker } from 'node:worker_threads'
import type { Image } from '../data/image.ts'
import type { Mask } from '../data/mask.ts'
import { startThread } from '../data/thread.ts'
import type { Pixels } from './encode.ts'
import type { Answer, HelperTask, Request } from './helper-thread.ts'
import { type Judged, judgeImage } from './judge.ts'
import { prepareImage } from './prepare.ts'
import type { EncodedImage } from './scores.ts'

/** What an evaluation does to an image before and after the encoder. */
export type Helper = {
  prepare(image: Image): Promise<Pixels>
  /** Takes pixels back that it has made and that nobody looks at any more: later ones lie in their memory. */
  recycle(pixels: Pixels): void
  judge(image: EncodedImage, mask: Mask): Promise<Judged>
  close(): Promise<void>
}

/** The same in this thread. */
export function inlineHelper({ scorer, classes, shortSide }: HelperTask): Helper {
  const spare: ArrayBuffer[] = []
  return {
    prepare: async (image) => prepareImage(image, shortSide, spare.pop()),
    recycle: ({ data }) => spare.push(data.buffer as ArrayBuffer),
    judge: async (image, mask) => judgeImage(scorer, classes, image, mask),
    close: async () => {},
  }
}

/** The same in a thread of its own, in the order of asking, beside an encoder whose kernels hold this one. */
export function threadHelper(task: HelperTask): Helper {
  const thread: Worker = startThread('./helper-thread', import.meta.url, task)
  const waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>()
  let asked = 0
  let failure: Error | null = null
  const fail = (error: Error) => {
    failure = error
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }
  thread.on('error', fail)
  thread.on('message', ({ id, ...answer }: Answer) => {
    const asker = waiting.get(id)
    waiting.delete(id)
    if ('error' in answer) asker?.reject(new Error(answer.error))
    else asker?.resolve(answer.value as never)
  })
  const ask = <T>(request: Request, transfer: ArrayBuffer[]): Promise<T> =>
    new Promise((resolve, reject) => {
      if (failure) return reject(failure)
      waiting.set(asked, { resolve, reject })
      thread.postMessage({ id: asked++, ...request }, transfer)
    })
  const spare: ArrayBuffer[] = []
  return {
    // pixels of an image are sent as they are: a buffer that sharp has made cannot always be given away
    prepare: (image) => {
      const memory = spare.pop()
      return ask({ kind: 'prepare', image, memory }, memory ? [memory] : [])
    },
    recycle: ({ data }) => spare.push(data.buffer as ArrayBuffer),
    judge: (image, mask) => {
      // of the maps only the last is looked at
      const encoded = image.encoded.map((one) => ({ ...one, maps: one.maps.slice(-1) }))
      return ask({ kind: 'judge', image: { ...image, encoded }, mask }, [])
    },
    async close() {
      await thread.terminate()
    },
  }
}
