import type { Config } from '../config/schema.ts'
import { TEMPLATES } from '../data/templates.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { Params } from '../tensor/index.ts'
import { buildZeroShotClassifier } from './classifier.ts'
import { logitScale } from './encode.ts'
import { type Resolved, resolveOptions } from './protocol.ts'
import type { Segmenter } from './segmentation.ts'

/**
 * Readies a model for segmenting into these classes; with `background`, the first class is what is left when no other
 * is sure enough, and gets no embedding.
 */
export async function openSegmenter(
  params: Params,
  config: Pick<Config, 'model' | 'eval'>,
  classNames: readonly string[],
  background: boolean,
): Promise<Segmenter & { options: Resolved }> {
  const named = background ? classNames.slice(1) : classNames
  const templates = TEMPLATES[config.eval.templates]
  return {
    params,
    model: config.model,
    classifier: await buildZeroShotClassifier(params, config, loadTokenizer(), named, templates),
    scale: await logitScale(params, config.model),
    options: resolveOptions(config, background),
  }
}
