import type { ModelConfig } from '../config/schema.ts'
import { norm, transformerLayer } from '../nn/layers.ts'
import { param } from '../nn/params.ts'
import { attendsToLengths, embed, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
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
    const { x, ends } = whole || !attendsToLengths() ? padded(params, model, tokens) : unpadded(params, model, tokens)
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

/** Each text as long as it is, one after the other: captions of a batch are mostly shorter than the longest. x [R, C]. */
function unpadded(params: Params, model: ModelConfig, { ids, batch, length, ends }: Tokens): Hidden {
  const lengths = ends.map((end) => end + 1)
  const rows = Array.from({ length: batch }, (_, i) => ids.subarray(i * length, i * length + lengths[i]))
  const total = lengths.reduce((a, b) => a + b, 0)
  const [tokens, places] = [new Int32Array(total), new Int32Array(total)]
  let from = 0
  const last = ends.map((end, i) => {
    tokens.set(rows[i], from)
    for (let t = 0; t <= end; t++) places[from + t] = t
    from += lengths[i]
    return from - 1
  })
  const embedded = embed(param(params, names.TOKEN_TABLE), tf.tensor1d(tokens, 'int32'))
  const positions = embed(param(params, names.TEXT_POSITIONS), tf.tensor1d(places, 'int32'))
  return { x: layers(params, model, tf.add(embedded, positions), lengths), ends: last }
}

function layers(params: Params, { text }: ModelConfig, embedded: Tensor, lengths?: Int32Array): Tensor {
  let x = embedded
  for (let layer = 0; layer < text.depth; layer++)
    x = transformerLayer(params, names.textLayerPrefix(layer), x, {
      heads: text.numHeads,
      activation: 'quickGelu',
      causal: true,
      lengths,
    })
  return x
}
