import type { ModelConfig } from '../config/schema.ts'
import { fillTemplate } from '../data/templates.ts'
import type { Tokenizer } from '../data/tokenizer.ts'
import { encodeTokens, projectText, tokensOf } from '../model/index.ts'
import { type Params, tf } from '../tensor/index.ts'

/** One l2-normalised embedding a class. */
export type Classifier = {
  /** [C, P] */
  data: Float32Array
  dim: number
}

/** Texts that go through the text tower at once. */
const BATCH = 128

/**
 * Embeddings of class names: each name in each template (`{}` is the name), projected, averaged without normalising
 * first, then normalised (golden: `class_embeds`).
 */
export async function buildZeroShotClassifier(
  params: Params,
  { model }: { model: ModelConfig },
  tokenizer: Tokenizer,
  classNames: readonly string[],
  templates: readonly string[],
): Promise<Classifier> {
  const { contextLength } = model.text
  const texts = classNames.flatMap((name) => templates.map((template) => fillTemplate(template, name)))
  const ids = new Int32Array(texts.length * contextLength)
  for (const [i, text] of texts.entries()) ids.set(tokenizer.pad(text, contextLength), i * contextLength)
  return classifierOfTokens(params, model, ids, templates.length)
}

/** The same for padded token ids [C · T, contextLength], the T templates of a class in a row. */
export async function classifierOfTokens(
  params: Params,
  model: ModelConfig,
  ids: Int32Array,
  templates: number,
): Promise<Classifier> {
  const { contextLength } = model.text
  const dim = model.projection.dim
  const texts = ids.length / contextLength
  const sums = new Float64Array((texts / templates) * dim)
  for (let start = 0; start < texts; start += BATCH) {
    const end = Math.min(texts, start + BATCH)
    const projected = tf.tidy(() => {
      const tokens = tokensOf(ids.subarray(start * contextLength, end * contextLength), contextLength)
      return projectText(params, model, encodeTokens(params, model, tokens).pooled, 'eval') // [texts, P]
    })
    const values = await projected.data()
    projected.dispose()
    for (let i = 0; i < values.length; i++)
      sums[Math.floor((start + Math.floor(i / dim)) / templates) * dim + (i % dim)] += values[i]
  }
  return { data: normalizeRows(sums, dim), dim }
}

/** Rows of length `dim` divided by their l2 norm. */
export function normalizeRows(rows: ArrayLike<number>, dim: number): Float32Array {
  const out = new Float32Array(rows.length)
  for (let from = 0; from < rows.length; from += dim) {
    let square = 0
    for (let i = from; i < from + dim; i++) square += rows[i] * rows[i]
    const norm = Math.max(Math.sqrt(square), 1e-12)
    for (let i = from; i < from + dim; i++) out[i] = rows[i] / norm
  }
  return out
}
