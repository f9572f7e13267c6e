/**
 * What needs no training on the scenes: `npx tsx bench/scenes-baselines.ts easy` prints the table of docs/scenes.md.
 * Every row is a prediction for the whole split, scored as `gvx eval` scores it.
 */
import { configSchema } from '../lib/config/schema.ts'
import { openSegmentationSet, type SegmentationSet } from '../lib/data/segmentation-set.ts'
import { type ClassCount, countImage, IGNORE, sumCounts } from '../lib/eval/confusion.ts'

type Predict = (mask: Uint8Array, side: number, classes: number) => Uint8Array

const THINGS = 8

const predictions: Record<string, Predict> = {
  'one class everywhere (grass)': (mask) => new Uint8Array(mask.length).fill(THINGS),
  'classes at random': (mask, _, classes) => mask.map((_, i) => Math.imul(i + 1, 2654435761) % classes),
  "the image's stuff everywhere": (mask) =>
    new Uint8Array(mask.length).fill(mask.find((v) => v >= THINGS && v !== IGNORE) ?? 0),
  'the best label of each 8 × 8 patch': (mask, side) => bestOfPatches(mask, side, 8),
  'the best label of each 4 × 4 patch': (mask, side) => bestOfPatches(mask, side, 4),
}

function bestOfPatches(mask: Uint8Array, side: number, patch: number): Uint8Array {
  const out = new Uint8Array(mask.length)
  for (let top = 0; top < side; top += patch)
    for (let left = 0; left < side; left += patch) {
      const places = Array.from(
        { length: patch * patch },
        (_, i) => (top + Math.floor(i / patch)) * side + left + (i % patch),
      )
      const counts = new Array<number>(256).fill(0)
      for (const at of places) if (mask[at] !== IGNORE) counts[mask[at]]++
      const best = counts.indexOf(Math.max(...counts))
      for (const at of places) out[at] = best
    }
  return out
}

const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length

async function baselines(set: SegmentationSet): Promise<void> {
  const counts: Record<string, ClassCount[][]> = Object.fromEntries(Object.keys(predictions).map((name) => [name, []]))
  const classes = set.classNames.length
  for (let i = 0; i < set.ids.length; i++) {
    const { mask } = await set.read(i)
    for (const [name, predict] of Object.entries(predictions))
      counts[name].push(countImage(predict(mask.data, mask.width, classes), mask.data, classes))
  }
  console.log('| prediction | ctx | things |\n| --- | --- | --- |')
  for (const [name, images] of Object.entries(counts)) {
    const { intersect, pred, label } = sumCounts(images, classes)
    const iou = set.classNames.map((_, c) => (100 * intersect[c]) / (pred[c] + label[c] - intersect[c]))
    console.log(`| ${name} | ${mean(iou).toFixed(1)} | ${mean(iou.slice(0, THINGS)).toFixed(1)} |`)
  }
}

const tier = process.argv[2] ?? 'easy'
const { scenes } = configSchema.parse({ data: { scenes: { tier } } }).data
const home = process.env.GVX_HOME ?? '.'
await baselines(
  await openSegmentationSet({ root: 'builtin:scenes', split: 'test', classNames: 'reference', home, scenes }),
)
