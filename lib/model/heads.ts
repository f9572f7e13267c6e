import type { ModelConfig } from '../config/schema.ts'
import { dense, NORM_EPS } from '../nn/layers.ts'
import { param } from '../nn/params.ts'
import { batchMoments, batchNorm, type Moments, type Params, type Tensor, tf } from '../tensor/index.ts'
import * as names from './names.ts'

/** BatchNorm moments of a training batch by the name of the layer, and the number of rows they were taken over. */
export type BatchMoments = Record<string, Moments & { count: number }>

/**
 * A projection head into the common space: Linear, then BatchNorm, ReLU and Linear for each further layer. x [N, C] ->
 * [N, P]. `train` normalises by the batch and tells its moments; `eval` uses the running statistics.
 */
function project(
  params: Params,
  name: string,
  depth: number,
  x: Tensor,
  mode: 'train' | 'eval',
  tell?: (moments: BatchMoments) => void,
): Tensor {
  let y = dense(params, `${name}.0`, x)
  for (let i = 1; i < depth; i++) {
    const layer = `${name}.${3 * i - 2}`
    if (mode === 'train' && tell) tell({ [layer]: { ...batchMoments(y), count: y.shape[0]! } })
    const running =
      mode === 'train'
        ? null
        : { mean: param(params, `${layer}.running_mean`), variance: param(params, `${layer}.running_var`) }
    const [gain, bias] = [param(params, `${layer}.weight`), param(params, `${layer}.bias`)]
    y = dense(params, `${name}.${3 * i}`, tf.relu(batchNorm(y, gain, bias, running, NORM_EPS)))
  }
  return y
}

type Project = (
  params: Params,
  model: ModelConfig,
  x: Tensor,
  mode: 'train' | 'eval',
  tell?: (moments: BatchMoments) => void,
) => Tensor

/** Image features (pooled, or of each segment) [N, C] -> [N, P], not normalised. */
export const projectImage: Project = (params, model, x, mode, tell) =>
  project(params, names.IMAGE_HEAD, model.projection.depth, x, mode, tell)

/** Text features [N, C] -> [N, P], not normalised. In training all texts of a batch go together (their BatchNorm). */
export const projectText: Project = (params, model, x, mode, tell) =>
  project(params, names.TEXT_HEAD, model.projection.depth, x, mode, tell)

/**
 * The embedding of images, [B, P], not normalised, from what the encoder leaves: segments [B, S, C] and their mean
 * [B, C]. `projection.order` says which comes first, the mean or the projection.
 */
export function embedImage(
  params: Params,
  model: ModelConfig,
  { pooled, segments }: { pooled: Tensor; segments: Tensor },
  mode: 'train' | 'eval',
  tell?: (moments: BatchMoments) => void,
): Tensor {
  if (model.projection.order === 'pool-first') return projectImage(params, model, pooled, mode, tell)
  const [batch, count, channels] = segments.shape as number[]
  const projected = projectImage(params, model, tf.reshape(segments, [batch * count, channels]), mode, tell)
  return tf.mean(tf.reshape(projected, [batch, count, model.projection.dim]), 1)
}
