import type { StoredTensor } from '../tensor/safetensors.ts'
import * as names from './names.ts'

/** Whether these are the names of the reference code. */
export const isNvlabs = (tensors: ReadonlyMap<string, unknown>): boolean => tensors.has('img_encoder.pos_embed')

/** Weights of the reference code by Hugging Face's names: fused projections split, heads of 1×1 convolutions squeezed. */
export function fromNvlabs(tensors: ReadonlyMap<string, StoredTensor>): Map<string, StoredTensor> {
  const out = new Map<string, StoredTensor>()
  for (const [name, tensor] of tensors) {
    const fused = /^(.*\.attn)\.(?:qkv\.|in_proj_)(weight|bias)$/.exec(name)
    if (fused)
      for (const [i, part] of ['q_proj', 'k_proj', 'v_proj'].entries())
        out.set(renamed(`${fused[1]}.${part}.${fused[2]}`), third(tensor, i))
    else out.set(renamed(name), /^(?:img|text)_projector\./.test(name) ? squeezed(tensor) : tensor)
  }
  return out
}

function third({ dtype, shape, data }: StoredTensor, i: number): StoredTensor {
  const size = data.length / 3
  return { dtype, shape: [shape[0] / 3, ...shape.slice(1)], data: data.slice(i * size, (i + 1) * size) }
}

/** [out, in, 1] as [out, in]. */
const squeezed = (tensor: StoredTensor): StoredTensor =>
  tensor.shape.length === 3 && tensor.shape[2] === 1 ? { ...tensor, shape: tensor.shape.slice(0, 2) } : tensor

/** In this order, each at most once. */
const RULES: [RegExp, string][] = [
  [/^img_encoder\.pos_embed$/, names.IMAGE_POSITIONS],
  [/^img_encoder\.patch_embed\.proj\./, `${names.PATCHES}.`],
  [/^img_encoder\.patch_embed\.norm\./, `${names.PATCH_NORM}.`],
  [/^img_encoder\.norm\./, `${names.IMAGE_NORM}.`],
  [/^img_encoder\.layers\.(\d+)\.blocks\.(\d+)\./, 'vision_model.encoder.stages.$1.layers.$2.'],
  [/^img_encoder\.layers\./, 'vision_model.encoder.stages.'],
  [/^text_encoder\.token_embedding\./, 'text_model.embeddings.token_embedding.'],
  [/^text_encoder\.positional_embedding$/, names.TEXT_POSITIONS],
  [/^text_encoder\.transformer\.resblocks\./, 'text_model.encoder.layers.'],
  [/^text_encoder\.ln_final\./, `${names.TEXT_NORM}.`],
  [/^img_projector\.linear_hidden\./, `${names.IMAGE_HEAD}.`],
  [/^text_projector\.linear_hidden\./, `${names.TEXT_HEAD}.`],
  [/^img_projector\.linear_out\./, `${names.IMAGE_HEAD}.3.`],
  [/^text_projector\.linear_out\./, `${names.TEXT_HEAD}.3.`],
  // inside of a transformer layer
  [/(layers\.\d+)\.(?:norm1|ln_1)\./, '$1.layer_norm1.'],
  [/(layers\.\d+)\.(?:norm2|ln_2)\./, '$1.layer_norm2.'],
  [/(layers\.\d+)\.attn\.proj\./, '$1.self_attn.out_proj.'],
  [/(layers\.\d+)\.attn\./, '$1.self_attn.'],
  [/\.mlp\.c_fc\./, '.mlp.fc1.'],
  [/\.mlp\.c_proj\./, '.mlp.fc2.'],
  [/pre_assign_attn\.attn\.proj\./, 'pre_assign_attn.attn.out_proj.'],
]

const renamed = (name: string): string => RULES.reduce((text, [from, to]) => text.replace(from, to), name)
