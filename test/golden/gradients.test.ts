import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { Config } from '../../lib/config/schema.ts'
import { dropPathRates } from '../../lib/model/image.ts'
import {
  contrastiveLoss,
  encodeImage,
  encodeText,
  names,
  projectImage,
  projectText,
  type TrainingNoise,
  tokensOf,
  trainableNames,
  trainingLoss,
} from '../../lib/model/index.ts'
import { l2Normalize, openBackend, type Params, type Tensor, tf, valueAndGradients } from '../../lib/tensor/index.ts'
import { createAdamW, type Optimizer } from '../../lib/train/adamw.ts'
import { lossAndGradients, trainStep } from '../../lib/train/step.ts'
import { presentBackends } from './backends.ts'
import { allowed, type GoldenModel, goldenInputs, goldenModel, titleOf } from './model.ts'
import { goldenJson, goldenModels, goldenTensors, hasGolden, relativeError } from './set.ts'

const FORWARD = 1e-5
const GRADIENT = 1e-4

type Mode = Config['model']['assignment']['mode']
/** A test that leaves no tensor behind. */
const tidied = (test: () => void) => () => {
  tf.tidy(test)
}

const withMode = (config: Config, mode: Mode, dropPathRate = 0): Config => ({
  ...config,
  model: { ...config.model, dropPathRate, assignment: { ...config.model.assignment, mode } },
})

/** The recorded noise of a set; what it does not record must not be asked for. */
function recordedNoise(name: string, uniforms?: { shape: number[]; data: Float32Array }): TrainingNoise {
  const inputs = goldenInputs(name)
  const never = () => {
    throw new Error('no numbers are recorded for this')
  }
  return {
    gumbel: (block) => inputs.gumbel(block),
    dropout: never,
    dropPath: (layer, branch, batch) => {
      if (!uniforms) return never()
      const row = 2 * (layer - 1) + branch // the first layer has rate 0 and draws nothing
      return uniforms.data.subarray(row * batch, (row + 1) * batch)
    },
  }
}

/**
 * Gradients that are zero in exact arithmetic (the references are computed in float64) are rounding noise here: they are
 * compared with the norm of all gradients instead of their own largest value.
 */
function compareGradients(golden: GoldenModel, file: string, gradients: Params, prefix = 'grad.'): void {
  const expected = [...goldenTensors(`${golden.name}/${file}.safetensors`)]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, { data }]) => ({ name: name.slice(prefix.length), data, largest: largestOf(data) }))
  expect(expected.length).toBeGreaterThan(20)
  const norm = Math.sqrt(expected.reduce((sum, { data }) => sum + data.reduce((s, x) => s + x * x, 0), 0))
  const wrong: Record<string, number> = {}
  for (const { name, data, largest } of expected) {
    const noise = largest < 1e-8 * norm
    if (noise && !gradients[name]) continue // the loss does not depend on it
    expect(gradients[name], name).toBeDefined()
    const actual = gradients[name].dataSync()
    const error = noise ? largestOf(actual as Float32Array) / norm : relativeError(actual, data)
    if (!(error <= (noise ? GRADIENT : allowed(golden.tolerance, file, prefix + name, GRADIENT)))) wrong[name] = error
  }
  expect(wrong).toEqual({})
}

const largestOf = (values: Float32Array) => values.reduce((m, x) => Math.max(m, Math.abs(x)), 0)

describe.each(await presentBackends({ fast: true }))('golden gradients on %s', (backend) => {
  // the slowest of the backends takes a minute for five steps, and the machine may be busy
  vi.setConfig({ testTimeout: 600_000 })
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  describe.each(goldenModels())('%s', (name) => {
    const cases: { title: string; file: string; mode: Mode }[] = [
      { title: 'hard assignment', file: 'train_hard', mode: 'hard' },
      { title: 'soft assignment', file: 'train_soft', mode: 'soft' },
      { title: 'Gumbel assignment', file: 'train_gumbel', mode: 'gumbel' },
      { title: 'soft assignment and drop path', file: 'train_soft_droppath', mode: 'soft' },
    ]
    for (const { title, file, mode } of cases) {
      const path = `${name}/${file}.safetensors`
      it.skipIf(!hasGolden(path))(
        titleOf(`${title}: losses and the gradient of every parameter`, [path]),
        tidied(() => {
          const golden = goldenModel(name)
          const expected = goldenTensors(path)
          const rates = expected.get('drop_rates')?.data
          const config = withMode(golden.config, mode, rates?.at(-1) ?? 0)
          const params = golden.params()
          const { model } = config
          const inputs = goldenInputs(name)
          const images = tf.tensor4d(inputs.images(0), [inputs.batch, model.imageSize, model.imageSize, 3])
          const tokens = tokensOf(inputs.tokens(0), model.text.contextLength)
          const leaves = Object.fromEntries(trainableNames(model).map((key) => [key, params[key]]))
          const { loss, kept, gradients } = valueAndGradients(() => {
            const { loss, ...kept } = trainingLoss(
              params,
              config,
              images,
              tokens,
              recordedNoise(name, expected.get('uniforms')),
            )
            return { loss, kept }
          }, leaves)

          const scalars = { loss: kept.contrastive, multi_label_loss: kept.multiLabel, total_loss: loss }
          const of = (key: string) => expected.get(key)!.data
          for (const [key, scalar] of Object.entries(scalars))
            expect(relativeError(scalar.dataSync(), of(key)), key).toBeLessThanOrEqual(
              allowed(golden.tolerance, file, key, FORWARD),
            )
          const squares = Object.values(gradients).map((g) => tf.sum(tf.square(g)).dataSync()[0])
          const norm = Math.sqrt(squares.reduce((a, b) => a + b))
          if (rates) expect(relativeError(dropPathRates(model), rates)).toBeLessThan(1e-6)
          else expect(Math.abs(norm / of('grad_norm')[0] - 1)).toBeLessThan(GRADIENT)
          compareGradients(golden, file, gradients)

          // the same with the rows of the token table that the batch names
          const sparse = lossAndGradients(
            params,
            config,
            { images: inputs.images(0), tokens: inputs.tokens(0) },
            recordedNoise(name, expected.get('uniforms')),
          )
          const whole = tf.scatterND(
            tf.tensor2d(sparse.rows, [sparse.rows.length, 1], 'int32'),
            sparse.gradients[names.TOKEN_TABLE],
            params[names.TOKEN_TABLE].shape,
          )
          compareGradients(golden, file, { ...sparse.gradients, [names.TOKEN_TABLE]: whole })

          // the BatchNorm statistics that a step leaves behind
          const optimizer = createAdamW(config.train, params, trainableNames(model))
          const batch = { images: inputs.images(0), tokens: inputs.tokens(0) }
          const noise = recordedNoise(name, expected.get('uniforms'))
          trainStep({ params, optimizer, config, batch, step: 0, learningRate: 0, noise }).dispose()
          for (const [key, { data }] of expected)
            if (key.startsWith('bn.'))
              expect(relativeError(params[key.slice(3)].dataSync(), data), key).toBeLessThanOrEqual(
                allowed(golden.tolerance, file, key, FORWARD),
              )
        }),
      )
    }

    const hf = `${name}/eval_grads_hf.safetensors`
    it.skipIf(!hasGolden(hf))(
      titleOf("Hugging Face's loss in evaluation mode", [hf]),
      tidied(() => {
        const golden = goldenModel(name)
        const params = golden.params()
        const model = { ...golden.config.model, logitScale: { ...golden.config.model.logitScale, max: Infinity } }
        const inputs = goldenInputs(name)
        const images = tf.tensor4d(inputs.images(0), [inputs.batch, model.imageSize, model.imageSize, 3])
        const each = inputs.tokens(0).length / inputs.batch / model.text.contextLength
        const texts = tf.tensor3d(inputs.tokens(0), [inputs.batch, each, model.text.contextLength], 'int32')
        const captions = tf.reshape(tf.slice(texts, [0, 0, 0], [inputs.batch, 1, -1]), [inputs.batch, -1])
        const leaves = Object.fromEntries(trainableNames(model).map((key) => [key, params[key]]))
        const { gradients } = valueAndGradients(() => {
          const image = l2Normalize(projectImage(params, model, encodeImage(params, model, images).pooled, 'eval'))
          const text = l2Normalize(projectText(params, model, encodeText(params, model, captions).pooled, 'eval'))
          return { loss: contrastiveLoss(params, model, image, text, golden.config.loss), kept: {} }
        }, leaves)
        const prefix = [...goldenTensors(hf).keys()].some((key) => key.startsWith('grad.')) ? 'grad.' : ''
        compareGradients(golden, 'eval_grads_hf', gradients, prefix)
      }),
    )

    for (const mode of ['hard', 'soft'] as const) {
      const files = [`${name}/adamw_${mode}.json`, `${name}/adamw_${mode}_final.safetensors`]
      it.skipIf(!hasGolden(files[0]))(
        titleOf(`five AdamW steps with ${mode} assignment`, files),
        tidied(() => {
          fiveSteps(goldenModel(name), mode)
        }),
      )
    }
  })
})

type AdamW = {
  hyper_parameters: {
    lr_per_step: number[]
    betas: [number, number]
    eps: number
    weight_decay: number
    clip_grad: number
    decay_rule?: string
  }
  steps: { loss: number; multi_label_loss: number; total_loss: number; grad_norm_before_clip: number }[]
  final_logit_scales: Record<string, number>
  final_logit_scales_if_0d_params_are_not_decayed?: Record<string, number>
}

function fiveSteps(golden: GoldenModel, mode: 'hard' | 'soft'): void {
  const expected = goldenJson<AdamW>(`${golden.name}/adamw_${mode}.json`)
  const { hyper_parameters: hyper } = expected
  const inputs = goldenInputs(golden.name)
  const run = (decayRule: Config['train']['decayRule']) => {
    const config = withMode(golden.config, mode)
    const { betas, eps, weight_decay: weightDecay, clip_grad: clipNorm } = hyper
    config.train = { ...config.train, betas, eps, weightDecay, clipNorm, decayRule }
    const params = golden.params()
    const optimizer = createAdamW(config.train, params, trainableNames(config.model))
    const first = withoutNoise(golden, mode, optimizer)
    const steps = hyper.lr_per_step.map((learningRate, step) => {
      const batch = { images: inputs.images(step), tokens: inputs.tokens(step) }
      return trainStep({
        params,
        optimizer: step === 0 ? first : optimizer,
        config,
        batch,
        step,
        learningRate,
        noise: recordedNoise(golden.name),
      }).read()
    })
    return { params, steps }
  }
  const rule = hyper.decay_rule === undefined || hyper.decay_rule === 'nvlabs' ? 'reference' : 'matrices'
  const { params, steps } = run(rule)
  const tolerance = golden.tolerance[`adamw_${mode}`] as unknown as { loss?: number } | undefined
  const noiseOfLoss = tolerance?.loss ?? 0
  expected.steps.forEach((step, i) => {
    const near = (key: string, value: number) =>
      expect(Math.abs(steps[i][key] - value), `${key} of step ${i}`).toBeLessThan(
        Math.max(5e-4, 1e-4 * Math.abs(value), 10 * noiseOfLoss),
      )
    near('train/contrastive', step.loss)
    near('train/multiLabel', step.multi_label_loss)
    near('train/loss', step.total_loss)
    expect(Math.abs(steps[i]['optim/gradNorm'] / step.grad_norm_before_clip - 1), `step ${i}`).toBeLessThan(1e-3)
  })

  // torch's losses differ by about 3e-5 in float32; where they differ by more, its weights do, too
  // weights follow gradients: between the floors of forward numbers and of gradients
  const least = 3 * FORWARD * Math.max(1, noiseOfLoss / 3e-5)
  const reach = 1.05 * hyper.lr_per_step.reduce((a, b) => a + b) // AdamW's step in 5 of these is at most 1.02 of the rate
  const wrong: Record<string, number[]> = {}
  const compare = (key: string, actual: ArrayLike<number>, data: ArrayLike<number>) => {
    const error = worstDifference(actual, data)
    const relative = allowed(golden.tolerance, `adamw_${mode}`, key, least)
    const limit = isNoise(golden, key) ? reach : relative * largestOf(Float32Array.from(data))
    if (!(error <= limit)) wrong[key] = [error, limit]
  }
  for (const [key, value] of Object.entries(expected.final_logit_scales)) compare(key, params[key].dataSync(), [value])
  const others = run('matrices').params
  for (const [key, value] of Object.entries(expected.final_logit_scales_if_0d_params_are_not_decayed ?? {}))
    compare(key, others[key].dataSync(), [value])

  const file = `${golden.name}/adamw_${mode}_final.safetensors`
  if (hasGolden(file)) for (const [key, { data }] of goldenTensors(file)) compare(key, params[key].dataSync(), data)
  expect(wrong).toEqual({})
}

/** Parameters whose gradient is zero but for rounding, and the statistics that follow them. */
function isNoise({ tolerance }: GoldenModel, key: string): boolean {
  const noisy = tolerance.parameters_with_zero_gradient_in_exact_arithmetic
  const bias = key.replace(/(\d+)\.running_mean$/, (_, layer) => `${layer - 1}.bias`)
  return noisy.includes(key) || noisy.includes(bias)
}

/**
 * AdamW's first step is the learning rate times the sign of the gradient: an element whose true gradient is below the
 * rounding noise of float32 goes one way or the other by chance, and all that follows goes with it. Such elements, those
 * that the test of the gradients cannot tell from zero, take the reference's gradient in the first step.
 * See docs/decisions/first-steps-of-adamw.md for what it measures.
 */
function withoutNoise(golden: GoldenModel, mode: Mode, optimizer: Optimizer): Optimizer {
  const file = `train_${mode}`
  if (!hasGolden(`${golden.name}/${file}.safetensors`)) return optimizer
  const reference = goldenTensors(`${golden.name}/${file}.safetensors`)
  const corrected = (key: string, gradient: Tensor, rows?: Int32Array): Tensor => {
    const stored = reference.get(`grad.${key}`)
    if (!stored || isNoise(golden, key)) return gradient
    const width = gradient.size / gradient.shape[0]!
    const truth = rows
      ? Float32Array.from(
          { length: gradient.size },
          (_, i) => stored.data[rows[Math.floor(i / width)] * width + (i % width)],
        )
      : stored.data
    const noise = allowed(golden.tolerance, file, `grad.${key}`, GRADIENT) * largestOf(stored.data)
    const values = gradient.dataSync().map((g, i) => (Math.abs(truth[i]) < noise ? truth[i] : g))
    return tf.tensor(values, gradient.shape)
  }
  return {
    ...optimizer,
    step: (gradients, rowGradients, learningRate) =>
      optimizer.step(
        Object.fromEntries(Object.entries(gradients).map(([key, gradient]) => [key, corrected(key, gradient)])),
        rowGradients.map(({ name, rows, gradient }) => ({ name, rows, gradient: corrected(name, gradient, rows) })),
        learningRate,
      ),
  }
}

function worstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let worst = actual.length === expected.length ? 0 : Infinity
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i] - expected[i])
    if (!(difference <= worst)) worst = difference
  }
  return worst
}
