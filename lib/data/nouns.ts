import { createRequire } from 'node:module'
import type { RandomStream } from '../core/rng.ts'
import { fillTemplate } from './templates.ts'

/** What counts as a noun: the reference's list (it keeps verbs), nouns only, or nouns with their adjectives. */
export type NounTags = 'reference' | 'nouns' | 'phrases'

/** What finds the nouns; another version may find others. */
export const TAGGER = 'wink-pos-tagger 2.2.2'

type TaggedWord = { value: string; tag: string; pos: string }
type Tagger = { tagSentence(text: string): TaggedWord[] }

const NOUNS = new Set(['NN', 'NNS', 'NNP', 'NNPS'])
/** As in the reference's data pipeline: without NNPS, with every verb. */
const REFERENCE = new Set(['NN', 'NNS', 'NNP', 'VB', 'VBD', 'VBG', 'VBN', 'VBP', 'VBZ'])
const ADJECTIVES = new Set(['JJ', 'JJR', 'JJS', 'VBN', 'VBD', 'VBG'])

let shared: Tagger | null = null

function tagger(): Tagger {
  if (!shared) {
    // Loaded where a caption is first tagged: only the decoding threads need its dictionary.
    const require = createRequire(import.meta.url)
    shared = (require('wink-pos-tagger') as () => Tagger)()
  }
  return shared
}

/**
 * The nouns of a caption in their order, by wink-pos-tagger's Penn tags. `reference` keeps repeated words as the
 * reference does; the other two name each once.
 */
export function nounsOf(caption: string, tags: NounTags): string[] {
  const words = tagger()
    .tagSentence(caption.replaceAll('’', "'"))
    .filter((word) => word.tag === 'word')
  if (tags === 'reference') return words.filter((w) => REFERENCE.has(w.pos)).map((w) => w.value)
  if (tags === 'nouns') return [...new Set(words.filter((w) => NOUNS.has(w.pos)).map((w) => w.value))]
  return [...new Set(phrases(words))]
}

/** Runs of adjectives that end in nouns: `striped red star`. */
function phrases(words: TaggedWord[]): string[] {
  const found: string[] = []
  let run: TaggedWord[] = []
  const close = () => {
    const last = run.findLastIndex((w) => NOUNS.has(w.pos))
    if (last >= 0) {
      const phrase = run.slice(0, last + 1)
      found.push(phrase.map((w) => w.value).join(' '))
    }
    run = []
  }
  for (const word of words) {
    const isNoun = NOUNS.has(word.pos)
    const afterNoun = run.length > 0 && NOUNS.has(run[run.length - 1].pos)
    if (!isNoun && (afterNoun || !ADJECTIVES.has(word.pos))) close()
    if (isNoun || ADJECTIVES.has(word.pos)) run.push(word)
  }
  close()
  return found
}

/**
 * The K texts beside a caption (paper §3.3): K of its nouns drawn without replacement, each in a template drawn at
 * random; where there are fewer nouns, the caption itself takes their place.
 */
export function nounPrompts(
  caption: string,
  nouns: readonly string[],
  count: number,
  templates: readonly string[],
  random: RandomStream,
): string[] {
  if (count === 0) return []
  const prompts = random
    .shuffle(nouns)
    .slice(0, count)
    .map((noun) => fillTemplate(random.pick(templates), noun))
  while (prompts.length < count) prompts.push(caption)
  return prompts
}
