/** Where the parts of the model keep their parameters: the names of Hugging Face's GroupViTModel. */

export const PATCHES = 'vision_model.embeddings.patch_embeddings.projection'
export const IMAGE_POSITIONS = 'vision_model.embeddings.position_embeddings'
export const PATCH_NORM = 'vision_model.embeddings.layernorm'
export const IMAGE_NORM = 'vision_model.layernorm'
export const stagePrefix = (stage: number) => `vision_model.encoder.stages.${stage}.`
export const layerPrefix = (stage: number, layer: number) => `${stagePrefix(stage)}layers.${layer}.`

export const TOKEN_TABLE = 'text_model.embeddings.token_embedding.weight'
export const TEXT_POSITIONS = 'text_model.embeddings.position_embedding.weight'
export const TEXT_NORM = 'text_model.final_layer_norm'
export const textLayerPrefix = (layer: number) => `text_model.encoder.layers.${layer}.`

export const IMAGE_HEAD = 'visual_projection'
export const TEXT_HEAD = 'text_projection'

export const LOGIT_SCALE = 'logit_scale'
export const MULTI_LABEL_SCALE = 'multi_label_logit_scale'
