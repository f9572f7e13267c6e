import type { Config } from '../config/schema.ts'
import { names, type Tokens, type TrainingNoise, tokensOf, trainableNames, trainingLoss } from '../model/index.ts'
import { type Params, type Tensor, tf, tidy, valueAndGradients } from '../tensor/index.ts'
import type { Optimizer } from './adamw.ts'
import { stepNoise } from './noise.ts'
import { learningRateAt } from './schedule.ts'

/** images [B, S, S, 3], normalised; tokens [B, 1 + K, T] with each image's caption first. */
export type TrainBatch = { images: Float32Array; tokens: Int32Array }

export type StepResult = {
  /** The numbers of the step: the only point at which the device is waited for. Once, instead of dispose. */
  read(): Record<string, number>
  dispose(): void
}

export type Step = {
  params: Params
  optimizer: Optimizer
  config: Config
  batch: TrainBatch
  /** Counted from 0. */
  step: number
  /** Noise other than the step's own, for tests against recorded numbers. */
  noise?: TrainingNoise
  learningRate?: number
}

/** One optimizer step: changes the parameters, the BatchNorm statistics and the optimizer. */
export function trainStep({ params, optimizer, config, batch, step, ...given }: Step): StepResult {
  const learningRate = given.learningRate ?? learningRateAt(step, config.train)
  const noise = given.noise ?? stepNoise(config.seed, step)
  const { kept, loss, gradients, rows } = lossAndGradients(params, config, batch, noise)
  const { [names.TOKEN_TABLE]: rowGradient, ...others } = gradients
  const gradNorm = optimizer.step(others, [{ name: names.TOKEN_TABLE, rows, gradient: rowGradient }], learningRate)
  tf.dispose(gradients)
  for (const [layer, { mean, variance, count }] of Object.entries(kept.moments))
    followBatch(params, layer, { mean, variance }, count)
  tf.dispose(kept.moments as never)

  const scalars = { loss, contrastive: kept.contrastive, multiLabel: kept.multiLabel }
  const dispose = () => tf.dispose(scalars)
  return {
    dispose,
    read: () => {
      const values = Object.entries(scalars).map(([name, scalar]) => [`train/${name}`, scalar.dataSync()[0]])
      dispose()
      return { ...Object.fromEntries(values), 'optim/learningRate': learningRate, 'optim/gradNorm': gradNorm }
    },
  }
}

/**
 * The loss of a batch and its gradients. Of the token table only the rows that the batch names take part: the gradient
 * under its name has those rows, in the order of `rows`.
 */
export function lossAndGradients(params: Params, config: Config, batch: TrainBatch, noise: TrainingNoise) {
  const { model } = config
  const tokens = tokensOf(batch.tokens, model.text.contextLength)
  const { rows, ids } = namedRows(tokens)
  const count = batch.images.length / (model.imageSize * model.imageSize * 3)
  const images = tf.tensor4d(batch.images, [count, model.imageSize, model.imageSize, 3])
  const table = tidy(() => tf.gather(params[names.TOKEN_TABLE], tf.tensor1d(rows, 'int32')))
  const leaves = Object.fromEntries(trainableNames(model).map((name) => [name, params[name]]))
  leaves[names.TOKEN_TABLE] = table
  const found = valueAndGradients(() => {
    const { loss, ...kept } = trainingLoss({ ...params, ...leaves }, config, images, { ...tokens, ids }, noise)
    return { loss, kept }
  }, leaves)
  tf.dispose([images, table])
  return { ...found, rows }
}

/** The rows of the table that texts name, and the texts with the ids of those rows. */
function namedRows(tokens: Tokens): { rows: Int32Array; ids: Int32Array } {
  const places = new Map<number, number>()
  const ids = tokens.ids.map((id) => {
    const place = places.get(id) ?? places.size
    places.set(id, place)
    return place
  })
  return { rows: Int32Array.from(places.keys()), ids }
}

/** Running statistics of a BatchNorm after a batch: momentum 0.1, unbiased variance (torch). */
function followBatch(params: Params, layer: string, moments: { mean: Tensor; variance: Tensor }, count: number): void {
  const follow = (name: string, make: (old: Tensor) => Tensor) => {
    const old = params[`${layer}.${name}`]
    params[`${layer}.${name}`] = tf.keep(tidy(() => make(old)))
    old.dispose()
  }
  const blend = (old: Tensor, now: Tensor) => tf.add(tf.mul(old, 0.9), tf.mul(now, 0.1))
  follow('running_mean', (old) => blend(old, moments.mean))
  follow('running_var', (old) => blend(old, tf.mul(moments.variance, count / (count - 1))))
  follow('num_batches_tracked', (old) => tf.add(old, 1))
}
