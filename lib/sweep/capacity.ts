import { availableParallelism, totalmem } from 'node:os'
import type { Config } from '../config/schema.ts'

/** What a machine offers to the workers together. */
export type Capacity = { cores: number; bytes: number }

/** Of memory, part is left to the system, the page cache and this process. */
const SHARE = 0.8
/** A worker that has loaded a backend and the vocabulary, before any model. */
const WORKER_BYTES = 250e6
/** Activations that live until the backward pass ends, as floats per token, channel and layer. ViT-S at batch 8 takes 1.2 GB. */
const ACTIVATIONS = 40
/** A parameter, its gradient, two moments and the copy of a checkpoint. */
const COPIES = 5

export const thisMachine = (): Capacity => ({
  cores: availableParallelism(),
  // A container's limit where there is one; Node answers with a huge number or 0 where there is none.
  bytes: Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
})

/** Bytes that a worker takes at its largest, roughly. */
export function workerMemory({ model, multiLabel, train }: Config): number {
  const imageTokens = (model.imageSize / model.patchSize) ** 2 + (model.numGroupTokens[0] ?? 0)
  const width = model.embedDim * (model.widthFactors === 'auto' ? 1 : Math.max(...model.widthFactors))
  const image = imageTokens * width * model.depth
  const text = (1 + multiLabel.nouns) * model.text.contextLength * model.text.width * model.text.depth
  const parameters =
    12 * (width ** 2 * model.depth + model.text.width ** 2 * model.text.depth) + model.text.vocabSize * model.text.width
  return WORKER_BYTES + 4 * (train.batchSize * ACTIVATIONS * (image + text) + COPIES * parameters)
}

/** How many workers fit the machine at once, at least one: as many as there are cores and memory for. */
export function fittingJobs(configs: readonly Config[], { cores, bytes }: Capacity): number {
  const largest = Math.max(...configs.map(workerMemory))
  return Math.max(1, Math.min(configs.length, cores, Math.floor((SHARE * bytes) / largest)))
}

/** Kernel threads of each of `jobs` workers. */
export const threadsEach = (jobs: number, { cores }: Capacity): number => Math.max(1, Math.floor(cores / jobs))
