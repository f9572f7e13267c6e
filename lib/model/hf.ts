import { z } from 'zod'
import { type Config, configSchema, type ModelConfig } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { NORM_EPS } from '../nn/layers.ts'
import { stageWidths } from './widths.ts'

/** Hugging Face's GroupViTConfig, to and from ours (transformers, models/groupvit/configuration_groupvit.py). */

/** Width of the MLPs of CLIP's text transformer over its own. */
const TEXT_MLP_RATIO = 4

/** Why transformers could not run a model, in clauses; empty when it can. */
function whyNotHf(model: ModelConfig): string[] {
  const why: string[] = []
  const { assignment, numGroupTokens, numOutputGroups, stages } = model
  for (let stage = 0; stage < stages - 1; stage++)
    if (numGroupTokens[stage] !== numOutputGroups[stage])
      why.push(
        `stage ${stage} has ${numGroupTokens[stage]} group tokens but ${numOutputGroups[stage]} output groups, and transformers sizes the next stage's projector by the latter`,
      )
  const widths = stageWidths(model)
  if (widths.some((width) => width !== widths[0]))
    why.push(`its stages have ${widths.join(', ')} channels, and transformers has one width for all`)
  if (model.projection.depth !== 2) why.push(`its projection heads have ${model.projection.depth} layers, not 2`)
  if (model.projection.order !== 'pool-first') why.push('it projects its segments before it takes their mean')
  if (assignment.mode === 'soft') why.push('it assigns softly, and transformers always assigns hard')
  if (assignment.sum) why.push('it merges by the sum of the tokens')
  if (assignment.scale !== 'inverse-sqrt') why.push('its assignment does not divide by √d')
  return why
}

/** config.json of a model. Throws a UserError that says why when transformers cannot run it. */
export function toHfConfig(model: ModelConfig): object {
  const why = whyNotHf(model)
  if (why.length > 0)
    throw new UserError(`transformers cannot run this model: ${why.join('; ')}.`, {
      hint: 'its checkpoint is a safetensors file with the same names, for other code',
    })
  const { assignment, embedDim, text } = model
  // One entry a stage, and the last stage groups nothing; its number of output groups is not used.
  const groupTokens = [...model.numGroupTokens, 0]
  const outputGroups = [...model.numOutputGroups, model.numOutputGroups.at(-1) ?? 0]
  const common = { layer_norm_eps: NORM_EPS }
  return {
    architectures: ['GroupViTModel'],
    model_type: 'groupvit',
    logit_scale_init_value: model.logitScale.init,
    projection_dim: model.projection.dim,
    projection_intermediate_dim: model.projection.hiddenDim,
    text_config: {
      model_type: 'groupvit_text_model',
      vocab_size: text.vocabSize,
      hidden_size: text.width,
      intermediate_size: TEXT_MLP_RATIO * text.width,
      num_hidden_layers: text.depth,
      num_attention_heads: text.numHeads,
      max_position_embeddings: text.contextLength,
      hidden_act: 'quick_gelu',
      pad_token_id: 1,
      bos_token_id: text.vocabSize - 2,
      eos_token_id: text.vocabSize - 1,
      ...common,
    },
    vision_config: {
      model_type: 'groupvit_vision_model',
      hidden_size: embedDim,
      intermediate_size: Math.round(model.mlpRatio * embedDim),
      depths: model.depths,
      num_hidden_layers: model.depth,
      num_group_tokens: groupTokens,
      num_output_groups: outputGroups,
      num_attention_heads: model.numHeads,
      image_size: model.imageSize,
      patch_size: model.patchSize,
      num_channels: 3,
      hidden_act: 'gelu',
      assign_eps: assignment.eps,
      assign_mlp_ratio: [assignment.tokenMlpRatio, assignment.channelMlpRatio],
      ...common,
    },
  }
}

const count = z.int().min(0).max(1e7)
/** Defaults are those of GroupViTConfig: a config.json may leave them out. */
const hfSchema = z.object({
  model_type: z.literal('groupvit'),
  projection_dim: count.default(256),
  projection_intermediate_dim: count.default(4096),
  logit_scale_init_value: z.number().default(2.6592),
  text_config: z
    .object({
      vocab_size: count.default(49408),
      hidden_size: count.default(256),
      num_hidden_layers: count.default(12),
      num_attention_heads: count.default(4),
      max_position_embeddings: count.default(77),
    })
    .prefault({}),
  vision_config: z
    .object({
      hidden_size: count.default(384),
      intermediate_size: count.default(1536),
      depths: z.array(count).default([6, 3, 3]),
      num_group_tokens: z.array(count).default([64, 8, 0]),
      num_output_groups: z.array(count).default([64, 8, 8]),
      num_attention_heads: count.default(6),
      image_size: count.default(224),
      patch_size: count.default(16),
      assign_eps: z.number().default(1),
      assign_mlp_ratio: z.tuple([z.number(), z.number()]).default([0.5, 4]),
    })
    .prefault({}),
})

/** The configuration that a config.json describes; what it does not say has our defaults. Throws a UserError. */
export function fromHfConfig(json: unknown, source: string): Config {
  const parsed = hfSchema.safeParse(json)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new UserError(`${source} describes no GroupViT: ${issue.path.join('.')}: ${issue.message}.`, {
      hint: 'gvx import takes folders that transformers has written for GroupViTModel',
    })
  }
  const { vision_config: vision, text_config: text, ...rest } = parsed.data
  const stages = vision.num_group_tokens.filter((n) => n > 0).length
  return configOf(
    {
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
      assignment: {
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
      projection: { dim: rest.projection_dim, hiddenDim: rest.projection_intermediate_dim },
      logitScale: { init: rest.logit_scale_init_value },
    },
    source,
  )
}

/** A configuration with this model section. Throws a UserError that names the source of the model. */
export function configOf(model: Record<string, unknown>, source: string): Config {
  const parsed = configSchema.safeParse({ model })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new UserError(`${source} holds a model that gvx cannot run: ${issue.path.join('.')}: ${issue.message}.`)
}
