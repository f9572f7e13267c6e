import type { ModelConfig } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { type RandomStream, randomStream } from '../core/rng.ts'
import { sinCosPositions } from '../nn/position.ts'
import { type Params, sizeOf, tensorFrom } from '../tensor/index.ts'
import * as names from './names.ts'
import { lastWidth, stageWidths } from './widths.ts'

/** How a parameter begins. `uniform` is symmetric with this bound: torch's default for convolutions and Linear. */
type Initial =
  | { kind: 'normal'; std: number }
  | { kind: 'uniform'; bound: number }
  | { kind: 'constant'; value: number }
  | { kind: 'values'; values: () => Float32Array }

export type ParameterSpec = {
  name: string
  shape: number[]
  initial: Initial
  /** false for buffers: BatchNorm statistics and fixed positions. */
  trainable: boolean
}

const normal = (std: number): Initial => ({ kind: 'normal', std })
const constant = (value: number): Initial => ({ kind: 'constant', value })
/** torch's reset_parameters of Linear and Conv: kaiming_uniform(a = √5) for weights, the same bound for biases. */
const torchDefault = (fanIn: number): Initial => ({ kind: 'uniform', bound: fanIn ** -0.5 })

/** Width of the MLPs of the text transformer over its own (CLIP). */
const TEXT_MLP_RATIO = 4

/**
 * Every parameter and buffer of a model, in the order of a checkpoint, with the distributions of the reference code
 * (golden init_stats, column nvlabs). The text transformer begins as CLIP's: widths and depth in its deviations.
 */
export function parameterSpecs(model: ModelConfig): ParameterSpec[] {
  return [
    scalar(names.LOGIT_SCALE, model.logitScale.init),
    scalar(names.MULTI_LABEL_SCALE, model.logitScale.init),
    ...imageEmbeddings(model),
    ...model.depths.flatMap((depth, stage) => stageSpecs(model, stage, depth)),
    ...normSpecs(names.IMAGE_NORM, lastWidth(model)),
    ...textSpecs(model.text),
    ...headSpecs(names.IMAGE_HEAD, lastWidth(model), model.projection),
    ...headSpecs(names.TEXT_HEAD, model.text.width, model.projection),
  ]
}

const spec = (name: string, shape: number[], initial: Initial, trainable = true): ParameterSpec => ({
  name,
  shape,
  initial,
  trainable,
})
const scalar = (name: string, value: number) => spec(name, [], constant(value))

const normSpecs = (name: string, width: number) => [
  spec(`${name}.weight`, [width], constant(1)),
  spec(`${name}.bias`, [width], constant(0)),
]

const denseSpecs = (name: string, from: number, to: number, weight: Initial, bias: Initial = constant(0)) => [
  spec(`${name}.weight`, [to, from], weight),
  spec(`${name}.bias`, [to], bias),
]

/** Linear layers of the image encoder: a truncated normal of .02 whose bounds, ±2, are never reached. */
const VISION = normal(0.02)

function imageEmbeddings(model: ModelConfig): ParameterSpec[] {
  const { embedDim, patchSize, imageSize } = model
  const side = imageSize / patchSize
  const fanIn = 3 * patchSize * patchSize
  const fixed = model.position === 'sincos'
  if (fixed && embedDim % 4 !== 0)
    throw new UserError(`model.embedDim must be a multiple of 4 for sine-cosine positions, got ${embedDim}.`)
  const positions: Initial = fixed ? { kind: 'values', values: () => sinCosPositions(side, embedDim) } : VISION
  return [
    spec(names.IMAGE_POSITIONS, [1, side * side, embedDim], positions, !fixed),
    spec(`${names.PATCHES}.weight`, [embedDim, 3, patchSize, patchSize], torchDefault(fanIn)),
    spec(`${names.PATCHES}.bias`, [embedDim], torchDefault(fanIn)),
    ...normSpecs(names.PATCH_NORM, embedDim),
  ]
}

const attentionSpecs = (name: string, width: number, projections: string[]) =>
  projections.flatMap((part) => denseSpecs(`${name}.${part}`, width, width, VISION))

const mlpSpecs = (name: string, from: number, hidden: number, to: number) => [
  ...denseSpecs(`${name}.fc1`, from, hidden, VISION),
  ...denseSpecs(`${name}.fc2`, hidden, to, VISION),
]

function stageSpecs(model: ModelConfig, stage: number, depth: number): ParameterSpec[] {
  const prefix = names.stagePrefix(stage)
  const widths = stageWidths(model)
  const width = widths[stage]
  const layers = Array.from({ length: depth }, (_, layer) => {
    const at = names.layerPrefix(stage, layer)
    return [
      ...normSpecs(`${at}layer_norm1`, width),
      ...attentionSpecs(`${at}self_attn`, width, ['q_proj', 'k_proj', 'v_proj', 'out_proj']),
      ...normSpecs(`${at}layer_norm2`, width),
      ...mlpSpecs(`${at}mlp`, width, Math.round(model.mlpRatio * width), width),
    ]
  }).flat()
  if (stage >= model.stages) return layers
  const { groupTokenStd, laterGroupTokenStd } = model.init
  const tokens = model.numGroupTokens[stage]
  const std = stage === 0 ? groupTokenStd : laterGroupTokenStd
  return [
    spec(`${prefix}group_token`, [1, tokens, width], normal(std)),
    ...layers,
    ...groupingSpecs(model, stage, `${prefix}downsample.`, tokens, model.numOutputGroups[stage]),
    ...widerSpecs(`${prefix}downsample.reduction`, 0, width, widths[stage + 1]),
    ...(stage === 0 ? [] : projectorSpecs(model, prefix, stage, tokens)),
  ]
}

function groupingSpecs(
  model: ModelConfig,
  stage: number,
  prefix: string,
  tokens: number,
  groups: number,
): ParameterSpec[] {
  const { assignment, init } = model
  const width = stageWidths(model)[stage]
  const gain = normal(0.02 * ofBlock(init.assignGain, stage))
  const sharpness = normal(0.02 * ofBlock(init.assignSharpness, stage))
  const cross = `${prefix}pre_assign_attn`
  return [
    ...normSpecs(`${prefix}norm_tokens`, width),
    ...mlpSpecs(`${prefix}mlp_inter`, tokens, Math.round(assignment.tokenMlpRatio * width), groups),
    ...normSpecs(`${prefix}norm_post_tokens`, width),
    ...normSpecs(`${prefix}norm_x`, width),
    ...normSpecs(`${cross}.norm_post`, width),
    ...attentionSpecs(`${cross}.attn`, width, ['q_proj', 'k_proj', 'v_proj', 'out_proj']),
    ...normSpecs(`${cross}.norm2`, width),
    ...mlpSpecs(`${cross}.mlp`, width, Math.round(model.mlpRatio * width), width),
    ...denseSpecs(`${prefix}assign.q_proj`, width, width, sharpness),
    ...denseSpecs(`${prefix}assign.k_proj`, width, width, sharpness),
    ...denseSpecs(`${prefix}assign.v_proj`, width, width, gain),
    ...denseSpecs(`${prefix}assign.proj`, width, width, gain),
    ...normSpecs(`${prefix}norm_new_x`, width),
    ...mlpSpecs(`${prefix}mlp_channels`, width, Math.round(assignment.channelMlpRatio * width), width),
  ]
}

const ofBlock = (value: number | number[], block: number): number => (Array.isArray(value) ? value[block] : value)

/** Group tokens of the stage before, carried over to this one. */
function projectorSpecs(model: ModelConfig, prefix: string, stage: number, to: number): ParameterSpec[] {
  const [before, width] = stageWidths(model).slice(stage - 1, stage + 1)
  const name = `${prefix}group_projector`
  return [
    ...normSpecs(`${name}.0`, before),
    ...mlpSpecs(`${name}.1`, model.numGroupTokens[stage - 1], Math.round(model.assignment.tokenMlpRatio * before), to),
    ...widerSpecs(name, 2, before, width),
  ]
}

/** From the channels of one stage to those of the next, entries `at` and `at + 1`; nothing where they are the same. */
const widerSpecs = (name: string, at: number, from: number, to: number): ParameterSpec[] =>
  from === to ? [] : [...normSpecs(`${name}.${at}`, from), spec(`${name}.${at + 1}.weight`, [to, from], VISION)]

function textSpecs({ width, depth, contextLength, vocabSize }: ModelConfig['text']): ParameterSpec[] {
  const into = normal(width ** -0.5)
  const outOf = normal(width ** -0.5 * (2 * depth) ** -0.5)
  const hidden = TEXT_MLP_RATIO * width
  const layers = Array.from({ length: depth }, (_, layer) => {
    const at = names.textLayerPrefix(layer)
    return [
      ...['q_proj', 'k_proj', 'v_proj'].flatMap((part) => denseSpecs(`${at}self_attn.${part}`, width, width, into)),
      ...denseSpecs(`${at}self_attn.out_proj`, width, width, outOf),
      ...normSpecs(`${at}layer_norm1`, width),
      ...denseSpecs(`${at}mlp.fc1`, width, hidden, normal((2 * width) ** -0.5), torchDefault(width)),
      ...denseSpecs(`${at}mlp.fc2`, hidden, width, outOf, torchDefault(hidden)),
      ...normSpecs(`${at}layer_norm2`, width),
    ]
  }).flat()
  return [
    spec(names.TOKEN_TABLE, [vocabSize, width], normal(0.02)),
    spec(names.TEXT_POSITIONS, [contextLength, width], normal(0.01)),
    ...layers,
    ...normSpecs(names.TEXT_NORM, width),
  ]
}

/** Linear, then BatchNorm, ReLU and Linear for each further layer: entries 0, 1, (2), 3, 4, (5), 6 of a Sequential. */
function headSpecs(name: string, from: number, projection: ModelConfig['projection']): ParameterSpec[] {
  const { dim, hiddenDim, depth } = projection
  return Array.from({ length: depth }, (_, i) => {
    const [inWidth, outWidth] = [i === 0 ? from : hiddenDim, i === depth - 1 ? dim : hiddenDim]
    const linear = denseSpecs(`${name}.${3 * i}`, inWidth, outWidth, torchDefault(inWidth), torchDefault(inWidth))
    if (i === depth - 1) return linear
    const batchNorm = `${name}.${3 * i + 1}`
    return [
      ...linear,
      ...normSpecs(batchNorm, hiddenDim),
      spec(`${batchNorm}.running_mean`, [hiddenDim], constant(0), false),
      spec(`${batchNorm}.running_var`, [hiddenDim], constant(1), false),
      spec(`${batchNorm}.num_batches_tracked`, [], constant(0), false),
    ]
  }).flat()
}

/**
 * New parameters and buffers, of one tower if `wanted` says so. Each is a function of (seed, its name) alone. The caller
 * owns the tensors.
 */
export function initParams(model: ModelConfig, seed: number, wanted = (_name: string) => true): Params {
  const params: Params = {}
  for (const { name, shape, initial } of parameterSpecs(model))
    if (wanted(name)) params[name] = tensorFrom(draw(initial, sizeOf(shape), randomStream(seed, 'init', name)), shape)
  return params
}

function draw(initial: Initial, size: number, stream: RandomStream): Float32Array {
  switch (initial.kind) {
    case 'values':
      return initial.values()
    case 'constant':
      return new Float32Array(size).fill(initial.value)
    case 'normal':
      return normals(size, initial.std, stream)
    case 'uniform':
      return Float32Array.from({ length: size }, () => initial.bound * (2 * stream.uniform() - 1))
    default:
      return initial satisfies never
  }
}

/** Box–Muller with both of its numbers: the token table alone wants 12.6 million. */
function normals(size: number, std: number, { uniform }: RandomStream): Float32Array {
  const out = new Float32Array(size)
  if (std === 0) return out
  for (let i = 0; i < size; i += 2) {
    const radius = std * Math.sqrt(-2 * Math.log(1 - uniform()))
    const angle = 2 * Math.PI * uniform()
    out[i] = radius * Math.cos(angle)
    if (i + 1 < size) out[i + 1] = radius * Math.sin(angle)
  }
  return out
}

/** Names of what an optimizer may change: not the BatchNorm statistics, nor fixed positions. */
export const trainableNames = (model: ModelConfig): string[] =>
  parameterSpecs(model).flatMap(({ name, trainable }) => (trainable ? [name] : []))
