import { type Config, configSchema } from '../../lib/config/schema.ts'
import { type Params, type Tensor, tf } from '../../lib/tensor/index.ts'
import type { StoredTensor } from '../../lib/tensor/safetensors.ts'
import { goldenJson, goldenTensors, hasGolden } from './set.ts'

/** config.json of a golden model: the names of Hugging Face's GroupViTConfig. */
type HfConfig = {
  vision: {
    hidden_size: number
    num_attention_heads: number
    depths: number[]
    num_group_tokens: number[]
    num_output_groups: number[]
    image_size: number
    patch_size: number
    intermediate_size: number
    assign_eps: number
    assign_mlp_ratio: [number, number]
  }
  text: {
    hidden_size: number
    num_attention_heads: number
    num_hidden_layers: number
    max_position_embeddings: number
    vocab_size: number
  }
  projection_dim: number
  projection_intermediate_dim: number
  logit_scale: number
  batch_size: number
  K: number
}

export type GoldenModel = { name: string; config: Config; params: () => Params; tolerance: Tolerance }

/** [absolute, relative to the largest] difference of float32 from float64 in the reference, by file and tensor. */
type Tolerance = Record<string, Record<string, [number, number]>> & {
  parameters_with_zero_gradient_in_exact_arithmetic: string[]
}

export function goldenModel(name: string): GoldenModel {
  const hf = goldenJson<HfConfig>(`${name}/config.json`)
  const { vision, text } = hf
  const stages = vision.num_group_tokens.filter((n) => n > 0).length
  const config = configSchema.parse({
    model: {
      imageSize: vision.image_size,
      patchSize: vision.patch_size,
      embedDim: vision.hidden_size,
      numHeads: vision.num_attention_heads,
      depth: vision.depths.reduce((a, b) => a + b, 0),
      stages,
      depths: vision.depths,
      numGroupTokens: vision.num_group_tokens.slice(0, stages),
      numOutputGroups: vision.num_output_groups.slice(0, stages),
      mlpRatio: vision.intermediate_size / vision.hidden_size,
      dropPathRate: 0,
      assignment: {
        mode: 'hard',
        eps: vision.assign_eps,
        tokenMlpRatio: vision.assign_mlp_ratio[0],
        channelMlpRatio: vision.assign_mlp_ratio[1],
      },
      text: {
        width: text.hidden_size,
        depth: text.num_hidden_layers,
        numHeads: text.num_attention_heads,
        contextLength: text.max_position_embeddings,
        vocabSize: text.vocab_size,
      },
      projection: { dim: hf.projection_dim, hiddenDim: hf.projection_intermediate_dim },
      logitScale: { init: hf.logit_scale },
    },
    multiLabel: { nouns: hf.K },
    train: { batchSize: hf.batch_size },
  })
  const params = () => tensors(goldenTensors(`${name}/weights.safetensors`))
  return { name, config, params, tolerance: goldenJson<Tolerance>(`${name}/tolerance.json`) }
}

const tensors = (stored: Map<string, StoredTensor>): Params =>
  Object.fromEntries([...stored].map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]))

export type GoldenInputs = {
  /** [B, S, S, 3] of a step. */
  images(step: number): Float32Array
  /** [B, 1 + K, T] of a step. */
  tokens(step: number): Int32Array
  batch: number
  /** Gumbel numbers of a grouping block. */
  gumbel(block: number): Tensor
}

/** The inputs, with pixels as NHWC. */
export function goldenInputs(name: string): GoldenInputs {
  const stored = goldenTensors(`${name}/inputs.safetensors`)
  const pixels = stored.get('pixel_values')!
  const ids = stored.get('input_ids')!
  const of = ({ shape, data }: StoredTensor, step: number) => {
    const size = data.length / shape[0]
    return data.subarray(step * size, (step + 1) * size)
  }
  return {
    batch: pixels.shape[1],
    images: (step) => toNhwc(of(pixels, step), pixels.shape.slice(1)),
    tokens: (step) => Int32Array.from(of(ids, step)),
    gumbel: (block) => {
      const { shape, data } = stored.get(`gumbel_noise.${block}`)!
      return tf.tensor(data, shape)
    },
  }
}

function toNhwc(pixels: Float32Array, [batch, colours, height, width]: number[]): Float32Array {
  const out = new Float32Array(pixels.length)
  for (let b = 0; b < batch; b++)
    for (let c = 0; c < colours; c++)
      for (let i = 0; i < height * width; i++)
        out[(b * height * width + i) * colours + c] = pixels[(b * colours + c) * height * width + i]
  return out
}

/** `name`, or with the file that the set lacks and a skipped test for it. */
export const titleOf = (name: string, files: string[]): string => {
  const missing = files.filter((file) => !hasGolden(file))
  return missing.length > 0 ? `${name} (the set has no ${missing.join(', ')})` : name
}

/** What a float32 implementation may differ by: ten times what torch differs by itself, and at least `least`. */
export const allowed = (tolerance: Tolerance, file: string, tensor: string, least: number): number =>
  Math.max(least, 10 * (tolerance[file]?.[tensor]?.[1] ?? 0))
