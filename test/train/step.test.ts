import { beforeAll, describe, expect, it, vi } from 'vitest'
import { type Config, configSchema } from '../../lib/config/schema.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { initParams, trainableNames } from '../../lib/model/index.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { createAdamW, type Optimizer } from '../../lib/train/adamw.ts'
import { type TrainBatch, trainStep } from '../../lib/train/step.ts'
import { presentBackends } from '../golden/backends.ts'

const VOCABULARY = 60

const configOf = (model: object, rest: object = {}): Config =>
  configSchema.parse({
    seed: 3,
    model: {
      imageSize: 16,
      patchSize: 4,
      embedDim: 16,
      numHeads: 2,
      depth: 3,
      groupTokens: 6,
      segments: 3,
      text: { width: 16, depth: 1, numHeads: 2, contextLength: 8, vocabSize: VOCABULARY },
      projection: { dim: 12, hiddenDim: 20 },
      ...model,
    },
    train: { batchSize: 4, steps: 100, learningRate: 0.01, warmup: 0 },
    ...rest,
  })

function batchOf(step: number, { model, train, multiLabel }: Config): TrainBatch {
  const stream = randomStream(1, 'batch', step)
  const size = train.batchSize * model.imageSize ** 2 * 3
  const images = Float32Array.from({ length: size }, () => stream.normal())
  const { contextLength } = model.text
  const tokens = new Int32Array(train.batchSize * (1 + multiLabel.nouns) * contextLength)
  for (let row = 0; row < tokens.length; row += contextLength) {
    const words = 1 + stream.int(contextLength - 3)
    tokens[row] = VOCABULARY - 2
    for (let i = 1; i <= words; i++) tokens[row + i] = 1 + stream.int(VOCABULARY / 2)
    tokens[row + words + 1] = VOCABULARY - 1
  }
  return { images, tokens }
}

type Trained = { params: Params; optimizer: Optimizer; losses: number[] }

function start(config: Config): Trained {
  const params = initParams(config.model, config.seed)
  return { params, optimizer: createAdamW(config.train, params, trainableNames(config.model)), losses: [] }
}

function train(trained: Trained, config: Config, from: number, to: number): Trained {
  for (let step = from; step < to; step++) {
    const batch = batchOf(step, config)
    trained.losses.push(trainStep({ ...trained, config, batch, step }).read()['train/loss'])
  }
  return trained
}

const copyOf = (tensors: Params): Params =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, tf.tensor(t.dataSync().slice(), t.shape)]))
const bitsOf = (tensors: Params) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => [name, Buffer.from(t.dataSync().slice().buffer).toString('hex')]),
  )

const VARIANTS: Record<string, Config> = {
  'two stages, Gumbel, drop path and dropout': configOf({ dropoutRate: 0.1, dropPathRate: 0.3 }),
  'one stage, hard': configOf({ stages: 1, assignment: { mode: 'hard', eps: 0 } }),
  'one stage, soft, sums': configOf({ stages: 1, assignment: { mode: 'soft', sum: true, temperature: 0.5 } }),
  'three stages, sine-cosine positions, a head of three layers': configOf({
    stages: 3,
    depth: 4,
    position: 'sincos',
    projection: { depth: 3, dim: 12, hiddenDim: 20 },
  }),
  'two stages of different widths': configOf({ widthFactors: [1, 1.5, 2] }),
  'a plain ViT, no nouns, a head of one layer': configOf(
    { stages: 0, projection: { depth: 1, dim: 12 } },
    { multiLabel: { nouns: 0 } },
  ),
  'paper equations instead of the code': configOf(
    { assignment: { scale: 'none' } },
    { loss: { directions: 'sum' }, multiLabel: { positives: 'log-of-sum', temperature: 'shared' } },
  ),
}

describe.each(await presentBackends({ fast: true }))('training on %s', (backend) => {
  // the slowest of the backends takes a minute for five steps
  vi.setConfig({ testTimeout: 120_000 })
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  describe.each(Object.keys(VARIANTS))('%s', (name) => {
    const config = VARIANTS[name]

    it('learns, and is equal to the bit when it is stopped and resumed', () => {
      const whole = train(start(config), config, 0, 12)
      expect(whole.losses.every(Number.isFinite)).toBe(true)

      const half = train(start(config), config, 0, 6)
      const [params, state] = [copyOf(half.params), copyOf(half.optimizer.state())]
      const optimizer = createAdamW(config.train, params, trainableNames(config.model))
      optimizer.restore(state)
      const resumed = train({ params, optimizer, losses: half.losses }, config, 6, 12)
      expect(resumed.losses).toEqual(whole.losses)
      expect(bitsOf(resumed.params)).toEqual(bitsOf(whole.params))
      expect(bitsOf(resumed.optimizer.state())).toEqual(bitsOf(whole.optimizer.state()))
      tf.dispose([whole.params, half.params, params, state] as never)
      for (const trained of [whole, half, resumed]) trained.optimizer.dispose()
    })
  })

  it('lowers the loss on a batch it sees again and again', () => {
    const config = VARIANTS['one stage, hard']
    const trained = start(config)
    const losses = Array.from({ length: 30 }, (_, step) => {
      const batch = batchOf(0, config)
      return trainStep({ ...trained, config, batch, step }).read()['train/loss']
    })
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0])
    trained.optimizer.dispose()
    tf.dispose(trained.params)
  })

  it('leaves no tensor behind in twenty steps', () => {
    const config = VARIANTS['two stages, Gumbel, drop path and dropout']
    const trained = train(start(config), config, 0, 2)
    trained.optimizer.state()
    const { numTensors, numBytes } = tf.memory()
    train(trained, config, 2, 22)
    trained.optimizer.state()
    expect(tf.memory().numTensors).toBe(numTensors)
    // rows of the token table that were new have moments now; nothing else has grown
    expect(tf.memory().numBytes - numBytes).toBeLessThan(2 * 4 * VOCABULARY * (config.model.text.width + 1))
    trained.optimizer.dispose()
    tf.dispose(trained.params)
  })

  it('treats a row of the token table that no text has named as AdamW treats a zero gradient', () => {
    const config = VARIANTS['one stage, hard']
    const trained = start(config)
    const table = 'text_model.embeddings.token_embedding.weight'
    const row = VOCABULARY - 3
    const rowOf = () => [...trained.params[table].dataSync()].slice(row * 16, (row + 1) * 16)
    const before = rowOf()
    let decay = 1
    for (let step = 0; step < 3; step++) {
      const result = trainStep({ ...trained, config, batch: batchOf(step, config), step, learningRate: 0.01 })
      result.dispose()
      decay *= 1 - 0.01 * config.train.weightDecay
    }
    rowOf().forEach((value, i) => {
      expect(value).toBeCloseTo(before[i] * decay, 7)
    })
    trained.optimizer.dispose()
    tf.dispose(trained.params)
  })
})
