import type { ModelConfig } from '../config/schema.ts'
import { embedImage, encodeImage, names, projectImage, scaleOf } from '../model/index.ts'
import { type Params, type Tensor, tf } from '../tensor/index.ts'
import { normalizeRows } from './classifier.ts'
import { type Clustering, clusterRows } from './clustering.ts'
import { type AttentionMap, mapsOnPatches } from './maps.ts'
import type { Window } from './windows.ts'

/** What the encoder says of one image or window: all that segmentation, pictures and baselines need. */
export type Encoded = {
  /** Patches: rows from top to bottom, columns from left to right. */
  rows: number
  columns: number
  /** The map of each stage on the patches; empty for a plain ViT, whose segments are its patches. */
  maps: AttentionMap[]
  /** [S, P] l2-normalised embeddings of the segments. */
  segments: Float32Array
  /** [P] l2-normalised embedding of the image. */
  image: Float32Array
}

/** Normalised pixels of an image, [H, W, 3] row by row. */
export type Pixels = { width: number; height: number; data: Float32Array }

/** Numbers in the attention of one layer that a batch may take: 64 images of 64 patches, or 8 of the paper's at 448. */
const ATTENTION_BUDGET = 32 << 20
const LARGEST_BATCH = 64

/** How many images of a size go through the encoder at once. */
export function batchSizeFor(model: ModelConfig, width: number, height: number): number {
  const patches = Math.floor(width / model.patchSize) * Math.floor(height / model.patchSize)
  const tokens = patches + (model.numGroupTokens[0] ?? 0)
  return Math.max(1, Math.min(LARGEST_BATCH, Math.floor(ATTENTION_BUDGET / (model.numHeads * tokens * tokens))))
}

/** How the patches of a plain ViT become segments; null leaves each patch by itself. */
export type PlainSegments = { method: Clustering; clusters: number } | null

/** Encodes windows of one size, wherever they come from; the encoder runs once for all of them. */
export async function encodeBatch(
  params: Params,
  model: ModelConfig,
  windows: readonly { image: Pixels; window: Window }[],
  plain: PlainSegments = null,
): Promise<Encoded[]> {
  const { width, height } = windows[0].window
  const batch = windows.length
  const pixels = new Float32Array(batch * height * width * 3)
  for (const [i, { image, window }] of windows.entries())
    for (let y = 0; y < height; y++) {
      const from = 3 * ((window.y + y) * image.width + window.x)
      pixels.set(image.data.subarray(from, from + 3 * width), 3 * width * (i * height + y))
    }
  const made = tf.tidy(() => {
    const input = tf.tensor4d(pixels, [batch, height, width, 3])
    const { pooled, segments, assignments } = encodeImage(params, model, input)
    const flat = tf.reshape(segments, [-1, segments.shape[2]!]) // [B·S, C]
    const clustered = plain !== null && model.stages === 0
    return {
      segments: clustered ? flat : projectImage(params, model, flat, 'eval'), // [B·S, C or P]
      image: embedImage(params, model, { pooled, segments }, 'eval'), // [B, P]
      maps: assignments.map(({ soft, hard }) => (model.assignment.evalMaps === 'soft' ? soft : hard)), // [B, G, N]
    }
  })
  const dim = model.projection.dim
  const image = normalizeRows(await take(made.image), dim)
  const [rows, columns] = [Math.floor(height / model.patchSize), Math.floor(width / model.patchSize)]
  if (plain !== null && model.stages === 0) {
    const clusters = await clusterPatches(params, model, await take(made.segments), batch, plain)
    return clusters.map((own, i) => ({ rows, columns, ...own, image: image.subarray(i * dim, (i + 1) * dim) }))
  }
  const segments = normalizeRows(await take(made.segments), dim)
  const shapes = made.maps.map((map) => map.shape as number[])
  const maps = await Promise.all(made.maps.map(take))
  const ofImage = segments.length / batch
  return windows.map((_, i) => ({
    rows,
    columns,
    maps: mapsOnPatches(
      maps.map((data, stage) => {
        const [, groups, tokens] = shapes[stage]
        const size = groups * tokens
        return { data: data.subarray(i * size, (i + 1) * size), groups, tokens }
      }),
    ),
    segments: segments.subarray(i * ofImage, (i + 1) * ofImage),
    image: image.subarray(i * dim, (i + 1) * dim),
  }))
}

/** Clusters of the patches [B·N, C] of each image: their map, and the projection of the mean of their patches. */
async function clusterPatches(
  params: Params,
  model: ModelConfig,
  patches: Float32Array,
  batch: number,
  { method, clusters }: { method: Clustering; clusters: number },
): Promise<{ maps: AttentionMap[]; segments: Float32Array }[]> {
  const channels = model.embedDim
  const tokens = patches.length / batch / channels
  const images = Array.from({ length: batch }, (_, i) => {
    const own = patches.subarray(i * tokens * channels, (i + 1) * tokens * channels)
    const cluster = clusterRows(method, own, channels, clusters)
    const groups = cluster.reduce((a, b) => Math.max(a, b), 0) + 1
    const data = new Float32Array(groups * tokens)
    const sizes = new Float64Array(groups)
    const means = new Float32Array(groups * channels)
    for (let n = 0; n < tokens; n++) {
      data[cluster[n] * tokens + n] = 1
      sizes[cluster[n]]++
      for (let c = 0; c < channels; c++) means[cluster[n] * channels + c] += own[n * channels + c]
    }
    for (let i = 0; i < means.length; i++) means[i] /= sizes[Math.floor(i / channels)]
    return { map: { data, groups, tokens }, means }
  })
  const all = new Float32Array(images.reduce((sum, { means }) => sum + means.length, 0))
  let at = 0
  for (const { means } of images) {
    all.set(means, at)
    at += means.length
  }
  const dim = model.projection.dim
  const projected = tf.tidy(() =>
    projectImage(params, model, tf.tensor2d(all, [all.length / channels, channels]), 'eval'),
  )
  const embeddings = normalizeRows(await take(projected), dim)
  let row = 0
  return images.map(({ map }) => {
    const segments = embeddings.subarray(row * dim, (row + map.groups) * dim)
    row += map.groups
    return { maps: [map], segments }
  })
}

/** [B, P] l2-normalised embeddings of whole images of one size. */
export async function embedImages(
  params: Params,
  model: ModelConfig,
  images: readonly Pixels[],
): Promise<Float32Array> {
  const [{ width, height }] = images
  const pixels = new Float32Array(images.length * height * width * 3)
  for (const [i, { data }] of images.entries()) pixels.set(data, i * data.length)
  const embeddings = tf.tidy(() => {
    const encoded = encodeImage(params, model, tf.tensor4d(pixels, [images.length, height, width, 3]))
    return embedImage(params, model, encoded, 'eval')
  })
  return normalizeRows(await take(embeddings), model.projection.dim)
}

/** The logit scale of segmentation: exp of the learned number, clamped. */
export async function logitScale(params: Params, model: ModelConfig): Promise<number> {
  const [scale] = await take(tf.tidy(() => scaleOf(params, model, names.LOGIT_SCALE)))
  return scale
}

async function take(tensor: Tensor): Promise<Float32Array> {
  const values = (await tensor.data()) as Float32Array
  tensor.dispose()
  return values
}
