import type { Config } from '../config/schema.ts'
import type { Protocol } from '../core/events.ts'
import type { ClassificationSet } from '../data/classification-set.ts'
import { crop, type Image, normalize } from '../data/image.ts'
import { resizeBilinear } from '../data/resize.ts'
import { TEMPLATES } from '../data/templates.ts'
import { loadTokenizer } from '../data/tokenizer.ts'
import type { Params } from '../tensor/index.ts'
import { buildZeroShotClassifier } from './classifier.ts'
import { batchSizeFor, embedImages, type Pixels } from './encode.ts'
import { type EvalResult, spread } from './evaluate.ts'
import { labelledData } from './protocol.ts'

/** Raised when the same protocol would give other numbers than before. */
const PROTOCOL_VERSION = 1
/** Images that are decoded while the encoder works on others. */
const CHUNK = 64
/** Short side over the side of the crop: 256 for 224 (reference code, and everybody on ImageNet). */
const SHORT_OVER_CROP = 256 / 224

/**
 * Zero-shot classification as the reference evaluates ImageNet: short side 256, the middle 224 × 224, the class whose
 * embedding (mean over the templates) is nearest. `values` are acc1, acc5 and meanAcc1, the mean over the classes.
 *
 * @throws what `signal` is aborted with, and what reading an image throws
 */
export async function evaluateClassification(options: {
  params: Params
  config: Config
  set: ClassificationSet
  /** Images, spread evenly over the set; 0 for all. */
  limit: number
  onProgress?: (done: number, total: number) => void
  signal?: AbortSignal
}): Promise<Omit<EvalResult, 'perImage'>> {
  const { params, config, set, limit, onProgress, signal } = options
  const { model } = config
  const started = performance.now()
  const templates = config.eval.classification.templates
  const tokenizer = loadTokenizer()
  const classifier = await buildZeroShotClassifier(params, config, tokenizer, set.classNames, TEMPLATES[templates])
  const indices = spread(set.ids.length, limit)
  const shortSide = Math.floor(model.imageSize * SHORT_OVER_CROP)
  const batch = Math.min(CHUNK, batchSizeFor(model, model.imageSize, model.imageSize))
  const classes = set.classNames.length
  const right = { top1: new Uint32Array(classes), top5: new Uint32Array(classes), of: new Uint32Array(classes) }
  const read = (start: number): Promise<Pixels[]> =>
    Promise.all(
      indices.slice(start, start + batch).map(async (i) => prepare(await set.read(i), shortSide, model.imageSize)),
    )

  let next = read(0)
  for (let start = 0; start < indices.length; start += batch) {
    signal?.throwIfAborted()
    const images = await next
    next = read(start + batch)
    next.catch(() => {}) // told when it is awaited
    const embeddings = await embedImages(params, model, images)
    for (let i = 0; i < images.length; i++) {
      const label = set.labels[indices[start + i]]
      const place = placeOf(embeddings.subarray(i * classifier.dim, (i + 1) * classifier.dim), classifier.data, label)
      right.of[label]++
      if (place < 1) right.top1[label]++
      if (place < 5) right.top5[label]++
    }
    onProgress?.(Math.min(start + batch, indices.length), indices.length)
  }
  const sum = (counts: Uint32Array) => counts.reduce((a, b) => a + b, 0)
  const present = Array.from(right.of.keys()).filter((c) => right.of[c] > 0)
  return {
    dataset: 'imagenet',
    purpose: 'final',
    protocol: protocolOf(set, indices.length, config, shortSide),
    images: indices.length,
    seconds: (performance.now() - started) / 1000,
    values: {
      acc1: sum(right.top1) / indices.length,
      acc5: sum(right.top5) / indices.length,
      meanAcc1: present.reduce((total, c) => total + right.top1[c] / right.of[c], 0) / present.length,
    },
    // a thousand classes have no table, and no IoU
    classNames: [],
    iou: [],
    baselines: { chance: 1 / classes, majority: Math.max(...right.of) / indices.length },
  }
}

/** How many classes are nearer to the image than its own; of equals the first counts. */
function placeOf(image: Float32Array, classifier: Float32Array, label: number): number {
  const dim = image.length
  const cosine = (c: number) => {
    let dot = 0
    for (let i = 0; i < dim; i++) dot += image[i] * classifier[c * dim + i]
    return dot
  }
  const own = cosine(label)
  let place = 0
  for (let c = 0; c * dim < classifier.length; c++) {
    if (c === label) continue
    const other = cosine(c)
    if (other > own || (other === own && c < label)) place++
  }
  return place
}

/** The middle of an image whose short side was resized by PIL's bilinear (torchvision's Resize and CenterCrop). */
export function prepare(image: Image, shortSide: number, side: number): Pixels {
  const short = Math.min(image.width, image.height)
  const scaled = (length: number) => (length === short ? shortSide : Math.floor((shortSide * length) / short))
  const resized = resizeBilinear(image, scaled(image.width), scaled(image.height))
  const box = {
    x: halfOf(resized.width - side),
    y: halfOf(resized.height - side),
    width: side,
    height: side,
  }
  return { width: side, height: side, data: normalize(crop(resized, box)) }
}

/** Half of a number, rounded to the even one as Python does. */
const halfOf = (n: number): number => (n % 2 === 0 ? n / 2 : 2 * Math.round(n / 4))

const protocolOf = (
  set: ClassificationSet,
  images: number,
  { model, eval: options }: Config,
  shortSide: number,
): Protocol => ({
  version: PROTOCOL_VERSION,
  task: 'classification',
  ...labelledData(set, images),
  shortSide,
  cropSize: model.imageSize,
  templates: options.classification.templates,
})
