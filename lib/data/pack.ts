import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { messageOf, UserError } from '../core/errors.ts'
import type { OnProgress } from './scenes/write.ts'
import { createShardWriter } from './shard-writer.ts'

/** An image file and what people said about it. */
type Captioned = { file: string; captions: string[] }

const IMAGES = new Set(['.jpg', '.jpeg', '.png', '.webp'])

/**
 * Reads captions: JSON lines (`{"file", "caption" | "captions"}`; `image`, `file_name` and `text` do too), CSV with a
 * header (`file,caption`), or COCO's captions .json (`images` and `annotations`).
 *
 * @throws UserError with the line where it is something else.
 */
function readCaptionFile(file: string): Captioned[] {
  if (!existsSync(file)) throw new UserError(`The captions ${file} are not there.`)
  const text = readFileSync(file, 'utf8')
  const pairs = file.endsWith('.csv')
    ? fromCsv(file, text)
    : file.endsWith('.json')
      ? fromCoco(file, text)
      : fromLines(file, text)
  const byFile = new Map<string, string[]>()
  for (const [name, caption] of pairs) {
    if (caption.trim() === '') continue
    byFile.set(name, [...(byFile.get(name) ?? []), caption.trim()])
  }
  return [...byFile].map(([name, captions]) => ({ file: name, captions }))
}

type Pairs = [file: string, caption: string][]

function fromLines(file: string, text: string): Pairs {
  return text.split('\n').flatMap((line, i): Pairs => {
    if (line.trim() === '') return []
    let record: Record<string, unknown>
    try {
      record = JSON.parse(line)
    } catch {
      throw new UserError(`${file}:${i + 1} is not JSON.`)
    }
    const name = record.file ?? record.image ?? record.file_name
    const captions = record.captions ?? record.caption ?? record.text
    const list = Array.isArray(captions) ? captions : [captions]
    if (typeof name !== 'string' || !list.every((caption) => typeof caption === 'string'))
      throw new UserError(`${file}:${i + 1} needs "file" and "caption" (text) or "captions" (a list).`)
    return list.map((caption) => [name, caption as string])
  })
}

function fromCoco(file: string, text: string): Pairs {
  type Coco = { images: { id: number; file_name: string }[]; annotations: { image_id: number; caption: string }[] }
  let coco: Coco
  try {
    coco = JSON.parse(text)
  } catch (error) {
    throw new UserError(`${file} is not JSON: ${messageOf(error)}`)
  }
  if (!Array.isArray(coco?.images) || !Array.isArray(coco.annotations))
    throw new UserError(`${file} has no "images" and "annotations" as COCO's captions have.`)
  const names = new Map(coco.images.map((image) => [image.id, image.file_name]))
  return coco.annotations.flatMap(({ image_id, caption }): Pairs => {
    const name = names.get(image_id)
    return name && typeof caption === 'string' ? [[name, caption]] : []
  })
}

function fromCsv(file: string, text: string): Pairs {
  const [header, ...rows] = parseCsv(text)
  const column = (names: string[]) => header?.findIndex((name) => names.includes(name.trim().toLowerCase())) ?? -1
  const at = column(['file', 'image', 'file_name', 'filename', 'path'])
  const said = column(['caption', 'text', 'title'])
  if (at < 0 || said < 0) throw new UserError(`${file} needs a header with the columns file and caption.`)
  return rows.filter((row) => row.length > Math.max(at, said)).map((row) => [row[at], row[said]])
}

/** RFC 4180: quotes around fields, doubled inside them. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]]
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows[rows.length - 1].push(quoted?.replaceAll('""', '"') ?? plain)
    if (end === '') break
    if (end !== ',') rows.push([])
  }
  return rows.filter((row) => row.length > 1 || row[0] !== '')
}

/**
 * Writes webdataset shards of the images in a folder: each with its first caption as .txt and, where it has several,
 * all as .json. Returns the shards and the images that were left out.
 */
export async function packShards(options: {
  images: string
  captions: string
  out: string
  samplesPerShard: number
  onProgress?: OnProgress
}): Promise<{ shards: string[]; samples: number; missing: string[] }> {
  const { images, out, onProgress } = options
  const captioned = readCaptionFile(options.captions)
  if (captioned.length === 0) throw new UserError(`${options.captions} holds no caption.`)
  await mkdir(out, { recursive: true })
  if ((await readdir(out)).some((name) => name.endsWith('.tar')))
    throw new UserError(`${out} already holds shards.`, { hint: 'Give a new folder by -o.' })
  const writer = createShardWriter(out, 'part', options.samplesPerShard)
  const missing: string[] = []
  const root = path.resolve(images)
  for (const [i, { file, captions }] of captioned.entries()) {
    const source = path.resolve(root, file)
    const extension = path.extname(file).toLowerCase()
    const isInside = source.startsWith(root + path.sep)
    if (!isInside || !IMAGES.has(extension) || !existsSync(source)) missing.push(file)
    else {
      const members = {
        [extension.slice(1)]: await readFile(source),
        txt: captions[0],
        ...(captions.length > 1 ? { json: JSON.stringify({ captions }) } : {}),
      }
      await writer.add({ key: keyOf(file, i), members })
    }
    onProgress?.(i + 1, captioned.length)
  }
  const shards = await writer.close()
  if (shards.length === 0)
    throw new UserError(`None of the ${captioned.length} images of ${options.captions} is in ${images}.`)
  return { shards, samples: captioned.length - missing.length, missing }
}

/** Keys end at the first dot; the number keeps them apart. */
const keyOf = (file: string, index: number): string => {
  const stem = path.basename(file, path.extname(file)).replace(/[^\p{L}\p{N}_-]/gu, '_')
  return `${String(index).padStart(8, '0')}-${stem}`
}
