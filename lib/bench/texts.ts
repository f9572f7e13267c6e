import { randomStream } from '../core/rng.ts'
import { nounPrompts, nounsOf } from '../data/nouns.ts'
import { drawScene } from '../data/scenes/scene.ts'
import { TEMPLATES } from '../data/templates.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { Size } from './sizes.ts'
import type { Kind } from './steps.ts'

/** Texts as a data set has them, or every one as long as the model takes and none like another. */
export type TextKind = 'captions' | 'long'

/**
 * Token ids of a training batch as the data stream gives them, each image's caption before its prompts. [B · (1 + K) · T] An
 * evaluation has none.
 */
export function batchTokens({ config }: Size, kind: Kind, batch: number, texts: TextKind): number[] {
  if (kind === 'eval') return []
  const { model, multiLabel, data } = config
  const { contextLength, vocabSize } = model.text
  const random = randomStream(0, 'bench texts')
  const [start, end] = [vocabSize - 2, vocabSize - 1]
  if (texts === 'long')
    return Array.from({ length: batch * (1 + multiLabel.nouns) }, () => [
      start,
      ...Array.from({ length: contextLength - 2 }, () => 1 + random.int(start - 1)),
      end,
    ]).flat()
  const tokenizer = loadTokenizer()
  return Array.from({ length: batch }, (_, i) => drawScene(0, 'train', i, 'easy', model.imageSize)).flatMap(
    ({ caption }) => {
      const nouns = nounsOf(caption, data.nounTags)
      const prompts = nounPrompts(caption, nouns, multiLabel.nouns, TEMPLATES[data.templates], random)
      return [caption, ...prompts].flatMap((text) => [...tokenizer.pad(text, contextLength)])
    },
  )
}
