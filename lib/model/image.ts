import type { ModelConfig } from '../config/schema.ts'
import { dropout, dropPathFactors } from '../nn/drop.ts'
import { type Assignment, type AssignmentOptions, groupingBlock } from '../nn/grouping.ts'
import { type LayerOptions, mixer, norm, transformerLayer } from '../nn/layers.ts'
import { param } from '../nn/params.ts'
import { patchEmbedding } from '../nn/patches.ts'
import { interpolatePositions } from '../nn/position.ts'
import { linear, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
import * as names from './names.ts'
import { stageWidths } from './widths.ts'

/** The random numbers of a training step, by the place they are used at. */
export type TrainingNoise = {
  /** Gumbel(0, 1) numbers for the logits [B, G, N] of a grouping block. */
  gumbel(block: number, shape: number[]): Tensor
  /** U[0, 1) for each sample of a branch (0 attention, 1 MLP) of a layer. */
  dropPath(layer: number, branch: 0 | 1, batch: number): ArrayLike<number>
  /** U[0, 1) for each element of a branch of a layer. */
  dropout(layer: number, branch: 0 | 1, batch: number, size: number): ArrayLike<number>
}

export type EncodedImages = {
  /** Mean over the segments, [B, C]. */
  pooled: Tensor
  /** What the last stage leaves, after the final LayerNorm: segments, or patches where there is no grouping. [B, S, C] */
  segments: Tensor
  /** One entry a grouping block; empty while training. */
  assignments: Assignment[]
  /** Named intermediates: `embeddings`, `stage_out.i`, `stage_group_tokens.i`. */
  record: Record<string, Tensor>
}

/**
 * The image encoder: patches, then in each stage transformer layers over tokens and group tokens together and a
 * grouping block (paper §3.1, §3.2). images [B, H, W, 3], normalised; H and W may differ from imageSize: the positions
 * are interpolated. `training` brings the noise of a training step; null is evaluation: no noise, no dropping.
 */
export function encodeImage(
  params: Params,
  model: ModelConfig,
  images: Tensor,
  training: TrainingNoise | null = null,
): EncodedImages {
  return tidy(() => {
    const record: Record<string, Tensor> = {}
    const assignments: Assignment[] = []
    let tokens = embedPatches(params, model, images) // [B, N, C]
    let groups: Tensor | null = null
    if (!training) record.embeddings = tokens
    model.depths.forEach((depth, stage) => {
      const first = model.depths.slice(0, stage).reduce((a, b) => a + b, 0)
      const layers = Array.from({ length: depth }, (_, i) => ({
        prefix: names.layerPrefix(stage, i),
        index: first + i,
      }))
      const grouping = stage < model.stages
      const before: Tensor | null = grouping ? groupTokens(params, stage, groups, images.shape[0]!) : null
      const out = runStage(params, model, tokens, before, layers, training)
      tokens = out.tokens
      groups = out.groups
      if (groups) {
        if (!training) record[`stage_group_tokens.${stage}`] = groups
        const options = assignmentOptions(model, stage, training)
        const prefix = `${names.stagePrefix(stage)}downsample.`
        const { segments, assignment } = groupingBlock(params, prefix, tokens, groups, options, training === null)
        tokens = toWidthOfNext(params, `${prefix}reduction`, 0, segments)
        if (assignment) assignments.push(assignment)
      }
      if (!training) record[`stage_out.${stage}`] = tokens
    })
    const segments = norm(params, names.IMAGE_NORM, tokens)
    return { pooled: tf.mean(segments, 1), segments, assignments, record }
  })
}

function embedPatches(params: Params, model: ModelConfig, images: Tensor): Tensor {
  return tidy(() => {
    const [, height, width] = images.shape as number[]
    const grid: [number, number] = [Math.floor(height / model.patchSize), Math.floor(width / model.patchSize)]
    const patches = norm(params, names.PATCH_NORM, patchEmbedding(params, names.PATCHES, images))
    return tf.add(patches, interpolatePositions(param(params, names.IMAGE_POSITIONS), grid))
  })
}

/** The learned tokens of a stage, plus what the stage before has made of its own. [B, G, C] */
function groupTokens(params: Params, stage: number, before: Tensor | null, batch: number): Tensor {
  const prefix = names.stagePrefix(stage)
  const learned = param(params, `${prefix}group_token`)
  return tidy(() => {
    if (!before) return tf.tile(learned, [batch, 1, 1])
    const normed = norm(params, `${prefix}group_projector.0`, before)
    const mixed = mixer(params, `${prefix}group_projector.1`, normed)
    return tf.add(toWidthOfNext(params, `${prefix}group_projector`, 2, mixed), learned)
  })
}

/** Norm and linear layer to another number of channels, where the model has them: entries `at` and `at + 1`. */
function toWidthOfNext(params: Params, name: string, at: number, x: Tensor): Tensor {
  const weight = params[`${name}.${at + 1}.weight`]
  if (!weight) return x
  return tidy(() => linear(norm(params, `${name}.${at}`, x), weight, null))
}

function runStage(
  params: Params,
  model: ModelConfig,
  tokens: Tensor,
  groups: Tensor | null,
  layers: { prefix: string; index: number }[],
  training: TrainingNoise | null,
): { tokens: Tensor; groups: Tensor | null } {
  return tidy(() => {
    let x = groups ? tf.concat([tokens, groups], 1) : tokens
    for (const { prefix, index } of layers) {
      const regularised = training ? regularisation(model, index, x.shape[0]!, training) : {}
      const before = x
      x = transformerLayer(params, prefix, before, { heads: model.numHeads, ...regularised })
      if (before !== tokens) before.dispose() // not only at the end of the stage: a dozen layers would wait for it
    }
    if (!groups) return { tokens: x, groups: null }
    const [split, rest] = tf.split(x, [tokens.shape[1]!, groups.shape[1]!], 1)
    return { tokens: split, groups: rest }
  })
}

/** Drop path rises linearly from 0 at the first layer to dropPathRate at the last (timm). */
export const dropPathRates = ({ depth, dropPathRate }: ModelConfig): number[] =>
  Array.from({ length: depth }, (_, i) => (depth === 1 ? 0 : (dropPathRate * i) / (depth - 1)))

function regularisation(
  model: ModelConfig,
  layer: number,
  batch: number,
  training: TrainingNoise,
): Pick<LayerOptions, 'factors' | 'dropout'> {
  const { dropoutRate } = model
  const rate = dropPathRates(model)[layer]
  const factors = (branch: 0 | 1) => dropPathFactors(rate, training.dropPath(layer, branch, batch))
  return {
    ...(rate > 0 && { factors: [factors(0), factors(1)] }),
    ...(dropoutRate > 0 && {
      dropout: (branch, index) =>
        dropout(branch, dropoutRate, training.dropout(layer, index, branch.shape[0]!, branch.size)),
    }),
  }
}

function assignmentOptions(model: ModelConfig, block: number, training: TrainingNoise | null): AssignmentOptions {
  const { mode, temperature, scale, sum, eps } = model.assignment
  const noise = training && mode === 'gumbel' ? (shape: number[]) => training.gumbel(block, shape) : null
  return {
    mode: mode === 'soft' ? 'soft' : 'hard',
    temperature,
    scale: scale === 'none' ? 1 : stageWidths(model)[block] ** -0.5,
    sum,
    eps,
    heads: model.numHeads,
    noise,
  }
}
