import type { ModelConfig } from '../config/schema.ts'
import { sizeOf } from '../tensor/index.ts'
import { dropPathRates } from './image.ts'
import * as names from './names.ts'
import { parameterSpecs } from './parameters.ts'
import { lastWidth, stageWidths } from './widths.ts'

type StageDescription = {
  stage: number
  channels: number
  /** Tokens that come in, and the group tokens that join them. */
  tokens: number
  groupTokens: number
  layers: number
  /** Drop path rates of its first and last layer. */
  dropPath: [number, number]
  /** Segments that its grouping block leaves; null without one. */
  segments: number | null
  parameters: number
  /** Of one image, a multiply-add counted as two. */
  gflops: number
}

export type ModelDescription = {
  stages: StageDescription[]
  /** Trainable numbers of each part. */
  parameters: { total: number; image: number; text: number; imageHead: number; textHead: number; scales: number }
  /** Forward, a multiply-add counted as two, projection head and norms included; a text of the whole context. */
  gflops: { image: number; text: number }
  /** Bytes that a training step keeps for its backward pass, for one image and for one text of the whole context. */
  activationBytes: { image: number; text: number }
}

/** What a model is made of and what it costs, from the configuration alone. */
export function describeModel(model: ModelConfig): ModelDescription {
  const count = (prefix: string) =>
    parameterSpecs(model)
      .filter(({ name, trainable }) => trainable && name.startsWith(prefix))
      .reduce((sum, { shape }) => sum + sizeOf(shape), 0)
  const stages = describeStages(model, count)
  const patches = (model.imageSize / model.patchSize) ** 2
  const embedding = linearFlops(patches, 3 * model.patchSize ** 2, model.embedDim) + normFlops(patches, model.embedDim)
  const { width, depth, numHeads, contextLength } = model.text
  const text = { width, heads: numHeads, ratio: 4 }
  const left = model.numOutputGroups.at(-1) ?? patches
  const projected = model.projection.order === 'pool-first' ? 1 : left
  const imageFlops =
    embedding + stages.reduce((sum, { gflops }) => sum + gflops * 1e9, 0) + normFlops(left, lastWidth(model))
  const textFlops = depth * layerFlops(contextLength, text) + normFlops(1, width)
  return {
    stages,
    parameters: {
      total: count(''),
      image: count('vision_model.'),
      text: count('text_model.'),
      imageHead: count(`${names.IMAGE_HEAD}.`),
      textHead: count(`${names.TEXT_HEAD}.`),
      scales: count(names.LOGIT_SCALE) + count(names.MULTI_LABEL_SCALE),
    },
    gflops: {
      image: (imageFlops + projected * headFlops(lastWidth(model), model.projection)) / 1e9,
      text: (textFlops + headFlops(width, model.projection)) / 1e9,
    },
    activationBytes: {
      image: stages.reduce(
        (sum, s) => sum + s.layers * layerBytes(s.tokens + s.groupTokens, layerOf(model, s.channels)),
        0,
      ),
      text: depth * layerBytes(contextLength, text),
    },
  }
}

type Layer = { width: number; heads: number; ratio: number }
const layerOf = (model: ModelConfig, width: number): Layer => ({
  width,
  heads: model.numHeads,
  ratio: model.mlpRatio,
})

const linearFlops = (rows: number, from: number, to: number) => 2 * rows * from * to
/** Mean, variance, scaling, gain and bias: five operations a number. */
const normFlops = (rows: number, width: number) => 5 * rows * width
/** Products of queries with keys, and of weights with values. */
const attentionFlops = (queries: number, keys: number, width: number) => 4 * queries * keys * width

const layerFlops = (tokens: number, { width, ratio }: Layer) =>
  (4 + 2 * ratio) * linearFlops(tokens, width, width) +
  attentionFlops(tokens, tokens, width) +
  2 * normFlops(tokens, width)

/**
 * A layer keeps the normalised input of both norms, what goes into each product, queries, keys and values, the MLP's
 * hidden layer before and after its activation, and the weights of its attention.
 */
const layerBytes = (tokens: number, { width, heads, ratio }: Layer) =>
  4 * ((8 + 2 * ratio) * tokens * width + heads * tokens * tokens)

function headFlops(from: number, { dim, hiddenDim, depth }: ModelConfig['projection']): number {
  if (depth === 1) return linearFlops(1, from, dim)
  return (
    linearFlops(1, from, hiddenDim) +
    (depth - 2) * linearFlops(1, hiddenDim, hiddenDim) +
    linearFlops(1, hiddenDim, dim)
  )
}

function describeStages(model: ModelConfig, count: (prefix: string) => number): StageDescription[] {
  const rates = dropPathRates(model)
  const widths = stageWidths(model)
  let tokens = (model.imageSize / model.patchSize) ** 2
  let first = 0
  return model.depths.map((layers, stage) => {
    const groupTokens = model.numGroupTokens[stage] ?? 0
    const segments = model.numOutputGroups[stage] ?? null
    const flops =
      layers * layerFlops(tokens + groupTokens, layerOf(model, widths[stage])) +
      (segments === null
        ? 0
        : groupingFlops(model, widths[stage], tokens, groupTokens, segments) +
          widerFlops(segments, widths[stage], widths[stage + 1])) +
      (stage === 0 || segments === null ? 0 : projectorFlops(model, stage, groupTokens))
    const described: StageDescription = {
      stage,
      channels: widths[stage],
      tokens,
      groupTokens,
      layers,
      dropPath: [rates[first], rates[first + layers - 1]],
      segments,
      parameters: count(names.stagePrefix(stage)),
      gflops: flops / 1e9,
    }
    tokens = segments ?? tokens
    first += layers
    return described
  })
}

function mixerFlops({ assignment }: ModelConfig, width: number, from: number, to: number): number {
  const hidden = assignment.tokenMlpRatio * width
  return linearFlops(width, from, hidden) + linearFlops(width, hidden, to)
}

/** Norm and linear layer to the width of the next stage, where it has another. */
const widerFlops = (rows: number, from: number, to: number) =>
  from === to ? 0 : normFlops(rows, from) + linearFlops(rows, from, to)

function projectorFlops(model: ModelConfig, stage: number, to: number): number {
  const [before, width] = stageWidths(model).slice(stage - 1, stage + 1)
  const from = model.numGroupTokens[stage - 1]
  return mixerFlops(model, before, from, to) + normFlops(from, before) + widerFlops(to, before, width)
}

function groupingFlops(model: ModelConfig, width: number, tokens: number, groupTokens: number, groups: number): number {
  const { mlpRatio, assignment } = model
  const square = (rows: number) => linearFlops(rows, width, width)
  const cross = 2 * square(groups) + 2 * square(tokens) + attentionFlops(groups, tokens, width)
  const mlps = (2 * mlpRatio + 2 * assignment.channelMlpRatio) * square(groups)
  // the assignment has the same four projections and the same two products as the cross-attention
  const norms = normFlops(tokens + groupTokens + 4 * groups, width)
  return mixerFlops(model, width, groupTokens, groups) + 2 * cross + mlps + norms
}
