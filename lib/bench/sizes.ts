import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'

/** A model, a batch and texts of some length: what is measured, on every backend and by every peer. */
export type Size = {
  name: string
  config: Config
  batch: number
  /** Tokens of the longest text of a batch. gvx cuts texts to it, and the peers are given nothing longer. */
  textLength: number
}

export const SIZES = ['scenes', 'tiny', 'vit-s'] as const

/**
 * vit-s: the paper's model, texts of full length. scenes: the configuration most sweeps run, captions as the scenes have
 * them. tiny: between the two, without an image size that would fit a GPU only.
 */
export function sizeNamed(name: string): Size {
  switch (name) {
    case 'vit-s':
      return size(name, loadConfig(null), 8, 77)
    case 'scenes':
      return size(name, loadConfig('scenes.yaml'), 64, 24)
    case 'tiny':
      return size(name, loadConfig(null, { overrides: TINY }), 32, 24)
    default:
      throw new Error(`no size ${name}: vit-s, scenes or tiny`)
  }
}

const TINY = {
  'model.imageSize': 64,
  'model.patchSize': 8,
  'model.embedDim': 128,
  'model.numHeads': 4,
  'model.depth': 6,
  'model.stages': 2,
  'model.groupTokens': 16,
  'model.segments': 8,
  'model.text.width': 128,
  'model.text.depth': 4,
  'model.text.numHeads': 4,
  'model.text.contextLength': 32,
  'model.projection.dim': 128,
  'model.projection.hiddenDim': 512,
}

const size = (name: string, { config }: { config: Config }, batch: number, textLength: number): Size => ({
  name,
  config,
  batch,
  textLength: Math.min(textLength, config.model.text.contextLength),
})
