import type { ModelConfig } from '../config/schema.ts'

/** Channels of each stage of the image encoder: embedDim everywhere but where `model.widthFactors` says otherwise. */
export const stageWidths = ({ depths, embedDim, widthFactors }: ModelConfig): number[] =>
  depths.map((_, stage) => (widthFactors === 'auto' ? embedDim : widthFactors[stage] * embedDim))

/** Channels of the segments that the last stage leaves. */
export const lastWidth = (model: ModelConfig): number => stageWidths(model).at(-1)!
