import type { ModelConfig } from '../config/schema.ts'
import { norm, transformerLayer } from '../nn/layers.ts'
import { param } from '../nn/params.ts'
import { embed, type Params, type Tensor, tf, tidy } from '../tensor/index.ts'
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
  const { batch, length, ends } = tokens
  return tidy(() => {
    const ids = tf.tensor2d(tokens.ids, [batch, length], 'int32')
    const positions = tf.slice(param(params, names.TEXT_POSITIONS), [0, 0], [length, model.text.width])
    let x: Tensor = tf.add(embed(param(params, names.TOKEN_TABLE), ids), positions) // [B, T, C]
    for (let layer = 0; layer < model.text.depth; layer++)
      x = transformerLayer(params, names.textLayerPrefix(layer), x, {
        heads: model.text.numHeads,
        activation: 'quickGelu',
        causal: true,
      })
    const rows = tf.tensor1d(
      ends.map((end, i) => i * length + end),
      'int32',
    )
    const atEnd = embed(tf.reshape(x, [batch * length, model.text.width]), rows)
    const record: Record<string, Tensor> = whole ? { last_hidden: norm(params, names.TEXT_NORM, x) } : {}
    return { pooled: norm(params, names.TEXT_NORM, atEnd), record }
  })
}
