import { createInterface } from 'node:readline'
import { randomStream } from '../lib/core/rng.ts'
import { encodeImage, initParams, projectImage, trainableNames } from '../lib/model/index.ts'
import { type BackendName, openBackend, type Tensor, tf } from '../lib/tensor/index.ts'
import { createAdamW } from '../lib/train/adamw.ts'
import { type TrainBatch, trainStep } from '../lib/train/step.ts'
import { type Size, sizeNamed } from './sizes.ts'

/**
 * One backend in a process of its own: `tsx bench/worker.ts JOB` where JOB is JSON. It says `{ready}`, then answers every
 * line it reads by one step and its milliseconds, and the end of its input by its peak memory. bench/peers/torch_step.py
 * speaks the same way, so that the two can take turns.
 */
export type Job = { kind: 'train' | 'eval'; size: string; backend: BackendName; threads: number; batch: number }

const job = JSON.parse(process.argv[2]) as Job
const size = sizeNamed(job.size)
const { device } = await openBackend(job)
const step = job.kind === 'train' ? training(size, job.batch) : evaluating(size, job.batch)
say({ ready: device })
for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now()
  await step()
  say({ ms: performance.now() - start })
}
say({ peakBytes: process.resourceUsage().maxRSS * 1024 })

function say(message: object) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/** Whole optimizer steps: both towers forward and backward, clipping, AdamW. */
function training({ config, textLength }: Size, batch: number): () => Promise<void> {
  const { model, multiLabel } = config
  const params = initParams(model, 0)
  const optimizer = createAdamW(config.train, params, trainableNames(model))
  const { uniform, normal } = randomStream(0, 'bench')
  const data: TrainBatch = {
    images: Float32Array.from({ length: batch * model.imageSize ** 2 * 3 }, normal),
    tokens: texts(batch * (1 + multiLabel.nouns), model.text, textLength, uniform),
  }
  let done = 0
  return async () => {
    const values = trainStep({ params, optimizer, config, batch: data, step: done++ }).read()
    if (!Number.isFinite(values['train/loss'])) throw new Error('the loss is not a number')
  }
}

/** Texts of a third to the whole of `length`; the first one has it all. Start and end are the last two ids. */
function texts(
  count: number,
  { contextLength, vocabSize }: { contextLength: number; vocabSize: number },
  length: number,
  uniform: () => number,
): Int32Array {
  const out = new Int32Array(count * contextLength)
  for (let i = 0; i < count; i++) {
    const end = i === 0 ? length - 1 : Math.floor((length / 3) * (1 + 2 * uniform()))
    const row = out.subarray(i * contextLength, (i + 1) * contextLength)
    row[0] = vocabSize - 2
    for (let t = 1; t < end; t++) row[t] = 1 + Math.floor(uniform() * 500)
    row[end] = vocabSize - 1
  }
  return out
}

/** Segments of images and their place in the common space. */
function evaluating({ config: { model } }: Size, batch: number): () => Promise<void> {
  const params = initParams(model, 0)
  const { normal } = randomStream(0, 'bench')
  const images = tf.tensor4d(Float32Array.from({ length: batch * model.imageSize ** 2 * 3 }, normal), [
    batch,
    model.imageSize,
    model.imageSize,
    3,
  ])
  return async () => {
    const out = tf.tidy(() => {
      const { segments } = encodeImage(params, model, images)
      return projectImage(params, model, tf.reshape(segments, [-1, model.embedDim]), 'eval')
    }) as Tensor
    await out.data()
    out.dispose()
  }
}
