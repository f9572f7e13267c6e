import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../core/errors.ts'
import type { Image } from '../data/image.ts'
import type { Mask } from '../data/mask.ts'
import type { Pixels } from './encode.ts'
import { type Judged, judgeImage } from './judge.ts'
import { prepareImage } from './prepare.ts'
import type { EncodedImage, Scorer } from './scores.ts'

/** Prepares and judges images for an evaluation: lib/eval/helper.ts. */
export type HelperTask = { scorer: Scorer; classes: number; shortSide: number }
export type Request =
  | { kind: 'prepare'; image: Image; memory: ArrayBuffer | undefined }
  | { kind: 'judge'; image: EncodedImage; mask: Mask }
export type Answer = { id: number } & ({ value: Pixels | Judged } | { error: string })

const port = parentPort!
const { scorer, classes, shortSide } = workerData as HelperTask

port.on('message', ({ id, ...request }: Request & { id: number }) => {
  try {
    if (request.kind === 'prepare') {
      const value = prepareImage(request.image, shortSide, request.memory)
      port.postMessage({ id, value } satisfies Answer, [value.data.buffer as ArrayBuffer])
    } else {
      const value = judgeImage(scorer, classes, request.image, request.mask)
      port.postMessage({ id, value } satisfies Answer, [value.labels.buffer as ArrayBuffer])
    }
  } catch (error) {
    port.postMessage({ id, error: messageOf(error) } satisfies Answer)
  }
})
