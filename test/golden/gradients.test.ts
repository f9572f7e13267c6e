import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { Config } from '../../lib/config/schema.ts'
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
import { l2Normalize, openBackend, type Params, tf, valueAndGradients } from '../../lib/tensor/index.ts'
import { createAdamW } from '../../lib/train/adamw.ts'
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
  expect(expected.length).toBeGreaterThan(50)
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
  // the slowest of the backends takes a minute for five steps
  vi.setConfig({ testTimeout: 120_000 })
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
          if (!rates) expect(Math.abs(norm / of('grad_norm')[0] - 1)).toBeLessThan(GRADIENT)
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
    const steps = hyper.lr_per_step.map((learningRate, step) => {
      const batch = { images: inputs.images(step), tokens: inputs.tokens(step) }
      return trainStep({
        params,
        optimizer,
        config,
        batch,
        step,
        learningRate,
        noise: recordedNoise(golden.name),
      }).read()
    })
    return { params, steps }
  }
  const { params, steps } = run('reference')
  const lossError = Math.max(5e-4, 10 * (golden.tolerance[`adamw_${mode}`]?.loss as unknown as number))
  expected.steps.forEach((step, i) => {
    const error = (actual: number, value: number) => expect(Math.abs(actual - value), `step ${i}`)
    error(steps[i]['train/contrastive'], step.loss).toBeLessThan(lossError)
    error(steps[i]['train/multiLabel'], step.multi_label_loss).toBeLessThan(lossError)
    error(steps[i]['train/loss'], step.total_loss).toBeLessThan(lossError)
    error(steps[i]['optim/gradNorm'] / step.grad_norm_before_clip, 1).toBeLessThan(1e-3)
  })
  for (const [key, value] of Object.entries(expected.final_logit_scales))
    expect(Math.abs(params[key].dataSync()[0] - value), key).toBeLessThan(1e-5)
  const matrices = run('matrices').params
  for (const [key, value] of Object.entries(expected.final_logit_scales_if_0d_params_are_not_decayed ?? {}))
    expect(Math.abs(matrices[key].dataSync()[0] - value), key).toBeLessThan(1e-5)

  const file = `${golden.name}/adamw_${mode}_final.safetensors`
  if (!hasGolden(file)) return
  compareWeights(golden, file, params, hyper.lr_per_step)
}

/**
 * AdamW divides a gradient by its own size, so rounding noise becomes a step of up to the learning rate: everywhere in
 * parameters whose gradient is zero, and in single elements of others whose gradient happens to be below the noise.
 * Hence the root mean square of a tensor is held tightly, and no element may be further off than noise can carry it.
 */
function compareWeights(golden: GoldenModel, file: string, params: Params, rates: number[]): void {
  const noisy = new Set(golden.tolerance.parameters_with_zero_gradient_in_exact_arithmetic)
  const reach = 2 * rates.reduce((a, b) => a + b)
  const wrong: Record<string, number[]> = {}
  for (const [key, { data }] of goldenTensors(file)) {
    const actual = params[key].dataSync()
    let largest = 0
    let squares = 0
    for (let i = 0; i < data.length; i++) {
      const error = Math.abs(data[i] - actual[i])
      largest = Math.max(largest, error)
      squares += error * error
    }
    const follows = key.endsWith('.running_mean') && noisy.has(key.replace('1.running_mean', '0.bias'))
    const rms = Math.sqrt(squares / data.length)
    const tight = noisy.has(key) || follows || rms <= 1e-4 * Math.max(0.1, largestOf(data))
    if (!(largest <= reach && tight)) wrong[key] = [rms, largest]
  }
  expect(wrong).toEqual({})
}
