import { randomStream } from '../core/rng.ts'
import { nounPrompts, nounsOf } from '../data/nouns.ts'
import { drawScene } from '../data/scenes/scene.ts'
import { TEMPLATES } from '../data/templates.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { Size } from './sizes.ts'

/** Texts as a data set has them, or every one as long as the model takes and none like another. */
export type TextKind = 'captions' | 'long'

/** Ids of the texts of a training batch, each image's caption before its prompts, from start to end token. [B · (1 + K)] */
export function textsOf({ config }: Size, batch: number, kind: TextKind): number[][] {
  const { model, multiLabel, data } = config
  const { contextLength } = model.text
  const random = randomStream(0, 'bench texts')
  const [start, end] = [model.text.vocabSize - 2, model.text.vocabSize - 1]
  if (kind === 'long')
    return Array.from({ length: batch * (1 + multiLabel.nouns) }, () => [
      start,
      ...Array.from({ length: contextLength - 2 }, () => 1 + random.int(start - 1)),
      end,
    ])
  const tokenizer = loadTokenizer()
  return Array.from({ length: batch }, (_, i) => drawScene(0, 'train', i, 'easy', model.imageSize)).flatMap(
    ({ caption }) => {
      const nouns = nounsOf(caption, data.nounTags)
      const prompts = nounPrompts(caption, nouns, multiLabel.nouns, TEMPLATES[data.templates], random)
      return [caption, ...prompts].map((text) => [start, ...tokenizer.encode(text).slice(0, contextLength - 2), end])
    },
  )
}
