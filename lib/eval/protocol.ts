import { createHash } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import type { Protocol } from '../core/events.ts'
import type { SegmentationSet } from '../data/segmentation-set.ts'
import type { SegmentationOptions } from './segmentation.ts'

/** Raised when the same protocol would give other numbers than before. */
const PROTOCOL_VERSION = 1

/** Long side at which the reference stops enlarging, over its short side: resize to (2048, 448) keeps the ratio. */
const LONG_OVER_SHORT = 2048 / 448

export type Resolved = SegmentationOptions & { shortSide: number }

/** The evaluation options with `auto` resolved: 448 pixels, window 448, stride 224 at the paper's size. */
export function resolveOptions(config: Pick<Config, 'model' | 'eval'>, background: boolean): Resolved {
  const { eval: options, model } = config
  const shortSide = options.shortSide === 'auto' ? 2 * model.imageSize : options.shortSide
  const crop = options.cropSize === 'auto' ? shortSide : options.cropSize
  const stride = options.stride === 'auto' ? Math.max(1, Math.round(crop / 2)) : options.stride
  return {
    shortSide,
    window: options.mode === 'slide' ? { crop, stride } : null,
    topK: options.topK,
    imagePrior: options.imagePrior,
    background,
    backgroundThreshold: options.backgroundThreshold,
    plain:
      model.stages > 0 || options.plainSegments === 'patches'
        ? null
        : { method: options.plainSegments, clusters: options.clusters },
  }
}

/** Size after the resize that keeps the ratio (mmcv.imrescale with a short and a long limit). */
export function resizedSize(width: number, height: number, shortSide: number): { width: number; height: number } {
  const long = Math.round(shortSide * LONG_OVER_SHORT)
  const scale = Math.min(long / Math.max(width, height), shortSide / Math.min(width, height))
  return { width: Math.floor(width * scale + 0.5), height: Math.floor(height * scale + 0.5) }
}

/** What the protocol of any task says of the data: the set, its files, and how many of its images were looked at. */
export const labelledData = (
  set: { name: string; split: string; fingerprint: string; classNames: readonly string[] },
  images: number,
): Protocol => ({
  set: set.name,
  split: set.split,
  fingerprint: set.fingerprint,
  images,
  classes: set.classNames.length,
  classNames: createHash('sha256').update(JSON.stringify(set.classNames)).digest('hex').slice(0, 12),
})

/**
 * Everything that a number depends on besides the method: two results compare when all of it is equal. Where a plain ViT
 * takes its segments from is a method, not a protocol: those rows stand beside GroupViT's (paper Table 4).
 */
export function protocolOf(
  set: SegmentationSet,
  images: number,
  options: Resolved,
  config: Pick<Config, 'model' | 'eval'>,
): Protocol {
  return {
    version: PROTOCOL_VERSION,
    task: 'segmentation',
    ...labelledData(set, images),
    shortSide: options.shortSide,
    mode: options.window === null ? 'whole' : 'slide',
    cropSize: options.window?.crop ?? null,
    stride: options.window?.stride ?? null,
    maps: config.model.assignment.evalMaps,
    topK: options.topK,
    imagePrior: options.imagePrior,
    backgroundThreshold: options.background ? options.backgroundThreshold : null,
    templates: config.eval.templates,
  }
}
