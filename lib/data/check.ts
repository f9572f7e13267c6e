import { existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { messageOf, UserError } from '../core/errors.ts'
import { readCaptions } from './captions.ts'
import { SampleError } from './fault.ts'
import { decodeImage } from './image.ts'
import { decodeMask } from './mask.ts'
import type { OnProgress } from './scenes/write.ts'
import { findImages, maskFile, readIds } from './segmentation-files.ts'
import { layoutOf } from './segmentation-layout.ts'
import { openShardFile } from './shard-file.ts'
import { indexShard, type SampleEntry } from './shard-index.ts'
import { expandShards } from './shard-paths.ts'

/** One thing that is wrong. `file` and `key` are untrusted: print them by `printable`. */
type Problem = { kind: string; file: string; key: string | null; message: string }

/** What a source of data holds, everything read and decoded. */
export type Report = {
  path: string
  type: 'shards' | 'segmentation'
  /** Samples that can be used. */
  usable: number
  faults: Record<string, number>
  problems: Problem[]
  /** Smallest, median and largest number of pixels of an image. */
  pixels: [number, number, number] | null
  /** Captions in all, or the number of classes seen. */
  details: Record<string, number | string>
  /** Share of all labelled pixels by class; of segmentation only. */
  classShares: Record<string, number> | null
}

/** Images decoded at the same time. */
const IN_FLIGHT = 4

/**
 * Reads everything a path or pattern names: shards, or a labelled set in PASCAL VOC layout with every split it has.
 *
 * @throws UserError where it names neither.
 */
export async function checkSource(source: string, onProgress?: OnProgress): Promise<Report> {
  return isLabelled(source) ? checkSegmentation(source, onProgress) : checkShards(source, onProgress)
}

/** Whether a path is a folder with masks rather than shards. */
export function isLabelled(source: string): boolean {
  const [folder] = source.split('#')
  const signs = ['classes.yaml', 'SegmentationClass', 'SegmentationClassContext', 'VOC2012', 'VOCdevkit/VOC2012']
  const coco = ['stuffthingmaps/val2017', 'annotations/val2017']
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false
  return isFolder && [...signs, ...coco].some((name) => existsSync(path.join(folder, name)))
}

async function checkShards(pattern: string, onProgress?: OnProgress): Promise<Report> {
  const files = expandShards(pattern)
  const problems: Problem[] = []
  const pixels: number[] = []
  let captions = 0
  let bytes = 0
  for (const [i, file] of files.entries()) {
    const index = indexShard(file)
    bytes += index.bytes
    problems.push(...index.faults.map(({ kind, shard, key, message }) => ({ kind, file: shard, key, message })))
    if (index.samples.length === 0) continue
    const shard = openShardFile(file)
    const check = async ({ key, image, text, json }: SampleEntry) => {
      try {
        const found = readCaptions(text && shard.read(...text), json && shard.read(...json))
        const { width, height } = await decodeImage(shard.read(...image))
        captions += found.length
        pixels.push(width * height)
      } catch (error) {
        if (!(error instanceof SampleError)) throw error
        problems.push({ kind: error.kind, file, key, message: error.message })
      }
    }
    await each(index.samples, check, (done) => onProgress?.(i + done / index.samples.length, files.length))
    shard.close()
  }
  const details = { shards: files.length, captions, bytes }
  return report(pattern, 'shards', pixels, problems, details, null)
}

async function checkSegmentation(source: string, onProgress?: OnProgress): Promise<Report> {
  const [folder, variant = null] = source.split('#')
  const layout = layoutOf(path.resolve(folder), variant, 'reference')
  const imageOf = findImages(layout.images)
  const problems: Problem[] = []
  const pixels: number[] = []
  const labels = new Float64Array(256)
  const splits = ['train', 'val', 'test', 'trainval'].filter((split) =>
    existsSync(path.join(layout.lists, `${split}.txt`)),
  )
  const ids = [...new Set((splits.length > 0 ? splits : ['val']).flatMap((split) => readIds(layout, split)))]

  async function check(id: string): Promise<void> {
    const problem = (kind: string, file: string, message: string) => problems.push({ kind, file, key: id, message })
    const maskPath = maskFile(layout, id)
    const imagePath = imageOf(id)
    if (!imagePath) problem('missing-image', layout.images, 'is in a list but has no image')
    if (!existsSync(maskPath)) problem('missing-mask', layout.masks, 'is in a list but has no mask')
    if (!imagePath || !existsSync(maskPath)) return
    const image = await readFile(imagePath)
      .then(decodeImage)
      .catch((error) => fail('corrupt-image', imagePath, error))
    const mask = await readFile(maskPath)
      .then((bytes) => decodeMask(bytes, layout.remap))
      .catch((error) => fail('corrupt-mask', maskPath, error))
    if (!image || !mask) return
    if (image.width !== mask.width || image.height !== mask.height)
      return void problem('size-mismatch', maskPath, `${mask.width}×${mask.height} for ${image.width}×${image.height}`)
    const unknown = mask.data.find((v) => v >= layout.classes.length && v !== 255)
    if (unknown !== undefined) return void problem('unknown-label', maskPath, `has the value ${unknown}`)
    for (const v of mask.data) labels[v]++
    pixels.push(image.width * image.height)

    function fail(kind: string, file: string, error: unknown): null {
      problem(kind, file, messageOf(error))
      return null
    }
  }

  await each(ids, check, (done) => onProgress?.(done, ids.length))
  const labelled = labels.subarray(0, 255).reduce((a, b) => a + b, 0)
  const shares = Object.fromEntries(layout.classes.map((name, i) => [name, labelled > 0 ? labels[i] / labelled : 0]))
  const details = { name: layout.name, splits: splits.join(' ') || 'none', classes: layout.classes.length }
  return report(source, 'segmentation', pixels, problems, details, shares)
}

function report(
  source: string,
  type: Report['type'],
  pixels: number[],
  problems: Problem[],
  details: Report['details'],
  classShares: Report['classShares'],
): Report {
  if (pixels.length === 0 && problems.length === 0)
    throw new UserError(`${source} holds nothing.`, { hint: 'Give shards or a folder in PASCAL VOC layout.' })
  pixels.sort((a, b) => a - b)
  const faults: Record<string, number> = {}
  for (const { kind } of problems) faults[kind] = (faults[kind] ?? 0) + 1
  const spread = [pixels[0], pixels[pixels.length >> 1], pixels[pixels.length - 1]] as [number, number, number]
  return {
    path: source,
    type,
    usable: pixels.length,
    faults,
    problems,
    pixels: pixels.length > 0 ? spread : null,
    details,
    classShares,
  }
}

/** Runs `work` over the items, a few at a time. */
async function each<T>(items: T[], work: (item: T) => Promise<void>, onDone: (done: number) => void): Promise<void> {
  let next = 0
  let done = 0
  const take = async () => {
    while (next < items.length) {
      await work(items[next++])
      onDone(++done)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, take))
}
