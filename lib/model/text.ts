import type { ModelConfig } from '../config/schema.ts'
import { norm, transformerLayer } from '../nn/layers.ts'
import { param } from '../nn/params.ts'
import { embed, type Params, type Sequences, type Tensor, takesSequences, tf, tidy } from '../tensor/index.ts'
import * as names from './names.ts'

/** Texts as token ids, cut to the longest of them. */
export type Tokens = {
  /** [B·length] ids, row by row. */
  ids: Int32Array
  batch: number
  length: number
  /** Where each text ends: the position of its largest id, which is the end token. */
  ends: Int32Array
}

/**
 * Texts that are padded to `contextLength`, cut to the longest one: attention is causal, so what stands behind the end
 * token of a text cannot reach the feature that is taken there.
 */
export function tokensOf(ids: Int32Array, contextLength: number): Tokens {
  const batch = ids.length / contextLength
  const ends = Int32Array.from({ length: batch }, (_, row) => {
    let best = 0
    for (let t = 1; t < contextLength; t++) if (ids[row * contextLength + t] > ids[row * contextLength + best]) best = t
    return best
  })
  const length = ends.reduce((a, b) => Math.max(a, b), 0) + 1
  const cut = new Int32Array(batch * length)
  for (let row = 0; row < batch; row++)
    cut.set(ids.subarray(row * contextLength, row * contextLength + length), row * length)
  return { ids: cut, batch, length, ends }
}

export type EncodedTexts = {
  /** The feature at the end token, after the final LayerNorm. [B, C] */
  pooled: Tensor
  /** `last_hidden` [B, T, C] where the whole length was asked for. */
  record: Record<string, Tensor>
}

/**
 * CLIP's text transformer. ids int32 [B, T] with the end token as the largest id of each text. `whole`: run the padding
 * too and record the last hidden state of every position.
 */
export function encodeText(params: Params, model: ModelConfig, ids: Tensor, { whole = false } = {}): EncodedTexts {
  const [batch, length] = ids.shape as number[]
  const values = ids.dataSync() as Int32Array
  const tokens = tokensOf(values, length)
  return encodeTokens(params, model, whole ? { ...tokens, ids: values, batch, length } : tokens, whole)
}

/** The same for texts that were prepared by `tokensOf`. */
export function encodeTokens(params: Params, model: ModelConfig, tokens: Tokens, whole = false): EncodedTexts {
  return tidy(() => {
    const { x, ends } = whole || !takesSequences() ? padded(params, model, tokens) : joined(params, model, tokens)
    const { width } = model.text
    const atEnd = embed(tf.reshape(x, [-1, width]), tf.tensor1d(ends, 'int32'))
    const record: Record<string, Tensor> = whole ? { last_hidden: norm(params, names.TEXT_NORM, x) } : {}
    return { pooled: norm(params, names.TEXT_NORM, atEnd), record }
  })
}

type Hidden = {
  x: Tensor
  /** The row of x [.., C] of the last token of each text. */
  ends: Int32Array
}

/** All texts as long as the longest. x [B, T, C]. */
function padded(params: Params, model: ModelConfig, { ids, batch, length, ends }: Tokens): Hidden {
  const positions = tf.slice(param(params, names.TEXT_POSITIONS), [0, 0], [length, model.text.width])
  const embedded = embed(param(params, names.TOKEN_TABLE), tf.tensor2d(ids, [batch, length], 'int32'))
  const x = layers(params, model, tf.add(embedded, positions)) // [B, T, C]
  return { x, ends: ends.map((end, i) => i * length + end) }
}

/** Texts as long as they are, and of what they have in common only one: joinTexts. x [R, C]. */
function joined(params: Params, model: ModelConfig, texts: Tokens): Hidden {
  const { ids, places, ends, sequences } = joinTexts(texts)
  const embedded = embed(param(params, names.TOKEN_TABLE), tf.tensor1d(ids, 'int32'))
  const positions = embed(param(params, names.TEXT_POSITIONS), tf.tensor1d(places, 'int32'))
  return { x: layers(params, model, tf.add(embedded, positions), sequences), ends }
}

export type JoinedTexts = {
  /** Id and position of each row. [R] */
  ids: Int32Array
  places: Int32Array
  /** The row of the last token of each text. [B] */
  ends: Int32Array
  /** The texts that have rows of their own. */
  sequences: Sequences
}

/**
 * A row for each token, and one for all texts that are the same up to it: attention is causal, so its state is the same in
 * all of them. The rows of a text are those after the longest beginning that a text before it has as well. Prompts begin alike,
 * so captions and nouns of a batch have half as many rows as tokens.
 */
export function joinTexts({ ids, length, ends }: Tokens): JoinedTexts {
  const kinds = ids.reduce((a, b) => Math.max(a, b), 0) + 1
  const rowAfter = new Map<number, number>() // by the row before it and its id
  const [rowIds, places, starts, prefixStarts, prefixes]: number[][] = [[], [], [0], [0], []]
  let longest = 0
  const lastRows = ends.map((end, text) => {
    const before: number[] = []
    let row = -1
    for (let t = 0; t <= end; t++) {
      const id = ids[text * length + t]
      const key = (row + 1) * kinds + id
      const known = rowAfter.get(key)
      row = known ?? rowIds.length
      if (known === undefined) {
        rowAfter.set(key, row)
        rowIds.push(id)
        places.push(t)
      } else before.push(known)
    }
    if (rowIds.length > starts.at(-1)!) {
      prefixStarts.push(prefixes.push(...before))
      starts.push(rowIds.length)
      longest = Math.max(longest, end + 1)
    }
    return row
  })
  return {
    ids: Int32Array.from(rowIds),
    places: Int32Array.from(places),
    ends: lastRows,
    sequences: {
      starts: Int32Array.from(starts),
      prefixStarts: Int32Array.from(prefixStarts),
      prefixes: Int32Array.from(prefixes),
      longest,
    },
  }
}

function layers(params: Params, { text }: ModelConfig, embedded: Tensor, sequences?: Sequences): Tensor {
  let x = embedded
  for (let layer = 0; layer < text.depth; layer++)
    x = transformerLayer(params, names.textLayerPrefix(layer), x, {
      heads: text.numHeads,
      activation: 'quickGelu',
      causal: true,
      sequences,
    })
  return x
}
