import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'

/** A model and a batch: what is measured, on every backend and by every peer. */
export type Size = { name: string; config: Config; batch: number }

export const SIZES = ['scenes', 'tiny', 'vit-s'] as const

/** vit-s: the paper's model. scenes: the configuration most sweeps run. tiny: between the two. */
export function sizeNamed(name: string): Size {
  switch (name) {
    case 'vit-s':
      return { name, batch: 8, config: loadConfig(null).config }
    case 'scenes':
      return { name, batch: 64, config: loadConfig('scenes.yaml').config }
    case 'tiny':
      return { name, batch: 32, config: loadConfig(null, { overrides: TINY }).config }
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
