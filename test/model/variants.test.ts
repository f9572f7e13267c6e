import { beforeAll, describe, expect, it, vi } from 'vitest'
import { configKeys } from '../../lib/config/keys.ts'
import { type Config, configSchema } from '../../lib/config/schema.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { trainingLoss } from '../../lib/model/dual-encoder.ts'
import {
  embedImage,
  encodeImage,
  initParams,
  parameterSpecs,
  projectImage,
  type TrainingNoise,
  tokensOf,
} from '../../lib/model/index.ts'
import { trainableNames } from '../../lib/model/parameters.ts'
import { openBackend, type Params, tf, valueAndGradients } from '../../lib/tensor/index.ts'
import { presentBackends } from '../golden/backends.ts'

/** What the golden numbers do not cover: every other option of a model, by finite differences. */

const VOCABULARY = 60
const BATCH = 5

const configOf = (model: object = {}, rest: object = {}): Config =>
  configSchema.parse({
    model: {
      imageSize: 16,
      patchSize: 4,
      embedDim: 8,
      numHeads: 2,
      depth: 3,
      groupTokens: 5,
      segments: 3,
      dropPathRate: 0.3,
      text: { width: 8, depth: 1, numHeads: 2, contextLength: 8, vocabSize: VOCABULARY },
      // a head of one layer has no BatchNorm and no ReLU: differences are then exact
      projection: { dim: 6, depth: 1 },
      logitScale: { init: 1 },
      ...model,
      // a straight-through gradient is not that of any function
      assignment: { mode: 'soft', ...('assignment' in model ? (model.assignment as object) : {}) },
    },
    ...rest,
  })

const VARIANTS: Record<string, Config> = {
  'the reference': configOf(),
  'width factors': configOf({ widthFactors: [1, 2, 1.5] }),
  'width factors in one stage': configOf({ stages: 1, widthFactors: [1, 0.5] }),
  'sums, no scale, another temperature': configOf({ assignment: { sum: true, scale: 'none', temperature: 2 } }),
  'means as in Eq. 5, dropout': configOf({
    assignment: { eps: 0, tokenMlpRatio: 1, channelMlpRatio: 2 },
    dropoutRate: 0.2,
  }),
  'three stages, sine-cosine positions': configOf({ stages: 3, depth: 4, position: 'sincos', mlpRatio: 2 }),
  'a plain ViT': configOf({ stages: 0 }),
  'Eq. 6 and 7, one temperature': configOf(
    {},
    { loss: { directions: 'sum' }, multiLabel: { positives: 'log-of-sum', temperature: 'shared', weight: 0.5 } },
  ),
}

const noise: TrainingNoise = {
  gumbel: (block, shape) => {
    const { uniform } = randomStream(5, 'gumbel', block)
    const size = shape.reduce((a, b) => a * b, 1)
    return tf.tensor(
      Float32Array.from({ length: size }, () => -Math.log(-Math.log(0.01 + 0.98 * uniform()))),
      shape,
    )
  },
  dropPath: (layer, branch, batch) =>
    Float32Array.from({ length: batch }, randomStream(5, 'path', layer, branch).uniform),
  dropout: (layer, branch, _, size) =>
    Float32Array.from({ length: size }, randomStream(5, 'out', layer, branch).uniform),
}

/** Weights large enough that every part of the model has a say. */
function paramsOf({ model }: Config): Params {
  const params = initParams(model, 1)
  for (const { name, shape, trainable } of parameterSpecs(model)) {
    if (!trainable || shape.length === 0) continue
    const { normal } = randomStream(2, name)
    const around = /norm.*weight$|\.1\.weight$/.test(name) && shape.length === 1 ? 1 : 0
    params[name] = tf.tensor(
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => around + 0.2 * normal()),
      shape,
    )
  }
  return params
}

const pixels = ({ model }: Config) => {
  const { normal } = randomStream(3, 'images')
  return tf.tensor4d(
    Float32Array.from({ length: BATCH * model.imageSize ** 2 * 3 }, () => normal()),
    [BATCH, model.imageSize, model.imageSize, 3],
  )
}

function textsOf({ model, multiLabel }: Config) {
  const { int } = randomStream(3, 'texts')
  const { contextLength } = model.text
  const ids = new Int32Array(BATCH * (1 + multiLabel.nouns) * contextLength)
  for (let row = 0; row < ids.length; row += contextLength)
    ids.set([VOCABULARY - 2, int(50), int(50), int(50), VOCABULARY - 1], row)
  return tokensOf(ids, contextLength)
}

const lossOf = (params: Params, config: Config) =>
  trainingLoss(params, config, pixels(config), textsOf(config), noise).loss

/** Another value of every key that says something about the model or its losses. */
const OTHERWISE: Record<string, unknown> = {
  'model.imageSize': 20,
  'model.patchSize': 8,
  'model.embedDim': 12,
  'model.numHeads': 4,
  'model.depth': 5,
  'model.stages': 1,
  'model.groupTokens': 4,
  'model.segments': 2,
  'model.depths': [1, 2, 1],
  'model.numGroupTokens': [5, 2],
  'model.numOutputGroups': [4, 3],
  'model.widthFactors': [1, 1, 2],
  'model.mlpRatio': 3,
  'model.position': 'sincos',
  'model.dropPathRate': 0.5,
  'model.dropoutRate': 0.2,
  'model.assignment.mode': 'gumbel',
  'model.assignment.temperature': 2,
  'model.assignment.scale': 'none',
  'model.assignment.sum': true,
  'model.assignment.eps': 0.5,
  'model.assignment.evalMaps': 'hard', // test/eval/maps.test.ts
  'model.assignment.tokenMlpRatio': 1,
  'model.assignment.channelMlpRatio': 3,
  'model.text.width': 12,
  'model.text.depth': 2,
  'model.text.numHeads': 4,
  'model.text.contextLength': 9,
  'model.text.vocabSize': 61,
  'model.projection.dim': 7,
  'model.projection.hiddenDim': 11,
  'model.projection.depth': 3,
  'model.projection.order': 'project-first',
  'model.logitScale.init': 2,
  'model.logitScale.max': 1.5,
  'model.init.groupTokenStd': 1,
  'model.init.laterGroupTokenStd': 1,
  'model.init.assignGain': 3,
  'model.init.assignSharpness': [1, 3],
  'loss.directions': 'sum',
  'multiLabel.nouns': 1,
  'multiLabel.weight': 0.5,
  'multiLabel.temperature': 'shared',
  'multiLabel.positives': 'log-of-sum',
}

it('has a test for every key of a model and its losses', () => {
  const known = [...configKeys.keys()].filter((key) => /^(model|loss|multiLabel)\./.test(key))
  expect(Object.keys(OTHERWISE).sort()).toEqual(known.sort())
})

describe('a model', () => {
  /** What a configuration comes to: its parameters, how they begin, and the loss of a batch. */
  const comesTo = (config: Config) =>
    tf.tidy(() => {
      const params = initParams(config.model, 1)
      // apart from each other, or the scales of the two losses could be exchanged unseen
      params.multi_label_logit_scale = tf.scalar(config.model.logitScale.init + 0.3)
      const shapes = parameterSpecs(config.model).map(({ name, shape }) => `${name} ${shape}`)
      return JSON.stringify([shapes, lossOf(params, config).dataSync()[0]])
    })
  const base = { depth: 4, projection: { dim: 6, hiddenDim: 10, depth: 2 } }
  let usual: string
  beforeAll(async () => {
    await openBackend({ backend: 'wasm', threads: 1 })
    usual = comesTo(configOf(base))
  })

  it.each(Object.keys(OTHERWISE).filter((key) => key !== 'model.assignment.evalMaps'))('is another by %s', (key) => {
    const changed = structuredClone(configOf(base)) as unknown as Record<string, never>
    // what is derived from other keys is derived again
    const derived = ['depths', 'numGroupTokens', 'numOutputGroups', 'groupTokens', 'segments']
    for (const name of derived) delete (changed.model as Record<string, unknown>)[name]
    Object.assign(changed.model, { groupTokens: 5, segments: 3 })
    const path = key.split('.')
    const section = path.slice(0, -1).reduce((at, name) => at[name], changed) as Record<string, unknown>
    section[path.at(-1)!] = OTHERWISE[key]
    expect(comesTo(configSchema.parse(changed))).not.toBe(usual)
  })
})

describe.each(await presentBackends({ fast: true }))('a model on %s', (backend) => {
  vi.setConfig({ testTimeout: 60_000 })
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  it('is the mean of its projected segments, one at a time, where they are projected first', () => {
    tf.tidy(() => {
      const config = configOf({ projection: { dim: 6, hiddenDim: 12, depth: 2, order: 'project-first' } })
      const params = paramsOf(config)
      const encoded = encodeImage(params, config.model, pixels(config))
      const alone = tf.unstack(encoded.segments, 1).map((one) => projectImage(params, config.model, one, 'eval'))
      const mean = tf.div(tf.addN(alone), alone.length).dataSync()
      const found = embedImage(params, config.model, encoded, 'eval').dataSync()
      found.forEach((value, i) => {
        expect(value).toBeCloseTo(mean[i], 5)
      })
      const pooled = projectImage(params, config.model, encoded.pooled, 'eval').dataSync()
      expect(Math.max(...found.map((value, i) => Math.abs(value - pooled[i])))).toBeGreaterThan(0.01)
    })
  })

  it('has the same loss and gradients in either order of projection where its head is linear', () => {
    tf.tidy(() => {
      const [loss, same] = (['pool-first', 'project-first'] as const).map((order) => {
        const config = configOf({ projection: { dim: 6, depth: 1, order } })
        const params = paramsOf(config)
        const leaves = Object.fromEntries(trainableNames(config.model).map((key) => [key, params[key]]))
        return valueAndGradients(() => ({ loss: lossOf(params, config), kept: {} }), leaves)
      })
      expect(same.loss.dataSync()[0]).toBeCloseTo(loss.loss.dataSync()[0], 5)
      for (const [key, gradient] of Object.entries(loss.gradients)) {
        const other = same.gradients[key].dataSync()
        gradient.dataSync().forEach((value, i) => {
          expect(other[i], key).toBeCloseTo(value, 4)
        })
      }
    })
  })

  it.each(Object.keys(VARIANTS))('has the gradient of its loss: %s', (name) => {
    tf.tidy(() => {
      const config = VARIANTS[name]
      const params = paramsOf(config)
      const leaves = Object.fromEntries(trainableNames(config.model).map((key) => [key, params[key]]))
      const { gradients } = valueAndGradients(() => ({ loss: lossOf(params, config), kept: {} }), leaves)
      const wrong: Record<string, number[]> = {}
      let checked = 0
      for (const key of Object.keys(leaves)) {
        const gradient = (gradients[key]?.dataSync() ?? new Float32Array(leaves[key].size)) as Float32Array
        const slope = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0))
        if (slope < 3e-3) continue // below what differences of float32 numbers can tell
        checked++
        const along = (step: number) =>
          tf.tidy(() => {
            const moved = leaves[key].dataSync().map((value, i) => value + (step * gradient[i]) / slope)
            return lossOf({ ...params, [key]: tf.tensor(moved, leaves[key].shape) }, config).dataSync()[0]
          })
        const isRight = (found: number) => Math.abs(found - slope) <= 0.02 * slope + 4e-4
        const step = 0.01 / Math.max(2, slope)
        const near = (along(step) - along(-step)) / (2 * step)
        if (isRight(near)) continue
        const far = (along(2 * step) - along(-2 * step)) / (4 * step)
        const both = (4 * near - far) / 3 // without the curvature of the third order
        if (!isRight(both)) wrong[key] = [slope, near, both]
      }
      expect(wrong).toEqual({})
      expect(checked).toBeGreaterThan(0.6 * Object.keys(leaves).length)
    })
  })
})
