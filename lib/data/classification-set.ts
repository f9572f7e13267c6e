import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { messageOf, UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import { decodeImage, type Image } from './image.ts'
import { loadShardIndex } from './shard-index.ts'
import { expandShards } from './shard-paths.ts'
import { createShardPool } from './shard-pool.ts'

/** Images with one class each: a folder in ImageNet's layout, or webdataset shards with `.cls`. */
export type ClassificationSet = {
  name: string
  split: string
  /** What the classes are called in a prompt, in the order of the labels. */
  classNames: string[]
  /** Hash of the names, labels and sizes of all images. */
  fingerprint: string
  ids: string[]
  /** Class of each image. */
  labels: Uint16Array
  /** @throws UserError where a file is damaged. */
  read(index: number): Promise<Image>
  close(): void
}

/** More classes than ImageNet-21k has. */
const MAX_CLASSES = 65_535
const IMAGES = new Set(['.jpg', '.jpeg', '.png', '.webp'])
/** Names in a message. */
const NAMED = 3

/**
 * Opens a split. A folder holds `SPLIT/CLASS/IMAGE` (or the class folders themselves), classes in the order of their
 * folders' names; a folder or pattern of shards holds images with a `.cls` that is the number of the class. The names of
 * the classes are in `classnames.txt` (a name a line, or the folder and then the name) or ImageNet's
 * `LOC_synset_mapping.txt`, beside the data or one folder up; folders that have words for names need neither.
 *
 * @throws UserError where images, labels or names are missing or do not belong together
 */
export function openClassificationSet(options: { root: string; split: string; home: string }): ClassificationSet {
  const { root, split, home } = options
  const inSplit = path.join(root, split)
  const folder = [inSplit, root].find((dir) => isFolder(dir) && subfolders(dir).some((name) => holdsImages(dir, name)))
  if (folder) return openFolders(folder, path.basename(path.resolve(root)), split)
  const pattern = [inSplit, root].find((dir) => isFolder(dir) && readdirSync(dir).some(isShard)) ?? root
  if (pattern === root && isFolder(root))
    throw new UserError(`${printable(root)} holds neither folders of images nor shards.`, {
      hint: `ImageNet's layout is ${path.join(root, split, 'n01440764', 'image.JPEG')}; shards are .tar with .jpg and .cls`,
    })
  if (!isFolder(root) && !/[*?[{]|\.(?:tar|tgz|tar\.gz|tar\.zst)$/.test(root) && !existsSync(root))
    throw new UserError(`The data set ${printable(root)} is not there.`, { hint: 'Check --root.' })
  return openShards(pattern, split, path.join(home, 'data', 'index'))
}

const isFolder = (dir: string): boolean => statSync(dir, { throwIfNoEntry: false })?.isDirectory() ?? false
const isShard = (name: string): boolean => /\.(?:tar|tgz|tar\.gz|tar\.zst)$/.test(name)
const isImage = (name: string): boolean => IMAGES.has(path.extname(name).toLowerCase())
const subfolders = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort()
const holdsImages = (dir: string, name: string): boolean => readdirSync(path.join(dir, name)).some(isImage)

function openFolders(dir: string, name: string, split: string): ClassificationSet {
  const folders = subfolders(dir)
  const files = folders.map((folder) => readdirSync(path.join(dir, folder)).filter(isImage).sort())
  const empty = folders.filter((_, i) => files[i].length === 0)
  if (empty.length > 0)
    throw new UserError(
      `${empty.length} of ${plural(folders.length, 'class folder')} in ${printable(dir)} hold no image: ${listed(empty)}.`,
    )
  const classNames = namesOfClasses([dir, path.dirname(dir)], folders)
  const all = folders.flatMap((folder, label) => files[label].map((file) => ({ id: `${folder}/${file}`, label })))
  const hash = createHash('sha256')
  for (const { id, label } of all) hash.update(`${id} ${label} ${statSync(path.join(dir, id)).size}\n`)
  return {
    name,
    split,
    classNames,
    fingerprint: hash.digest('hex').slice(0, 16),
    ids: all.map(({ id }) => id),
    labels: labelsOf(all.map(({ label }) => label)),
    read: async (index) => decode(all[index].id, await readFile(path.join(dir, all[index].id))),
    close: () => {},
  }
}

function openShards(pattern: string, split: string, indexDir: string): ClassificationSet {
  const shards = expandShards(pattern)
  const indices = shards.map((file) => loadShardIndex(file, indexDir, 'class'))
  const refs = indices.flatMap(({ samples }, shard) => samples.map((entry) => ({ shard, entry })))
  const faults = indices.flatMap((index) => index.faults)
  if (faults.length > 0 || refs.length === 0) {
    const [first] = faults
    const why = first ? `: ${printable(path.basename(first.shard))}: ${printable(first.message)}` : ''
    throw new UserError(
      `${plural(faults.length, 'fault')} in the ${plural(shards.length, 'shard')} of ${printable(pattern)}${why}.`,
      {
        hint: refs.length === 0 ? 'a sample is an image and a .cls of the same name' : undefined,
      },
    )
  }
  const where = path.dirname(shards[0])
  const classNames = namesOfClasses([where, path.dirname(where)], null)
  const pool = createShardPool(shards, indexDir, { partner: 'class' })
  const texts = refs.map(({ shard, entry }) => pool.read(shard, entry.text!).toString('utf8').trim())
  const wrong = refs.filter((_, i) => !/^\d{1,5}$/.test(texts[i]) || Number(texts[i]) >= classNames.length)
  if (wrong.length > 0)
    throw new UserError(
      `${wrong.length} of ${plural(refs.length, 'image')} have a .cls that is no number below ${classNames.length}: ${listed(wrong.map(({ entry }) => entry.key))}.`,
    )
  const hash = createHash('sha256')
  for (const [i, { entry }] of refs.entries()) hash.update(`${entry.key} ${texts[i]} ${entry.image[1]}\n`)
  return {
    name: path.basename(where),
    split,
    classNames,
    fingerprint: hash.digest('hex').slice(0, 16),
    ids: refs.map(({ entry }) => entry.key),
    labels: labelsOf(texts.map(Number)),
    read: async (index) => decode(refs[index].entry.key, pool.read(refs[index].shard, refs[index].entry.image)),
    close: () => pool.close(),
  }
}

const labelsOf = (labels: number[]): Uint16Array => Uint16Array.from(labels)
const listed = (names: string[]): string =>
  names.slice(0, NAMED).map(printable).join(', ') + (names.length > NAMED ? ', …' : '')

async function decode(id: string, bytes: Uint8Array): Promise<Image> {
  try {
    return await decodeImage(bytes)
  } catch (error) {
    throw new UserError(`${printable(id)} cannot be used: ${printable(messageOf(error))}.`)
  }
}

/** WordNet's ids, as ImageNet names its folders. */
const WORDNET_ID = /^n\d{8}$/

function namesOfClasses(places: string[], folders: string[] | null): string[] {
  for (const file of places.flatMap((dir) =>
    ['classnames.txt', 'LOC_synset_mapping.txt'].map((f) => path.join(dir, f)),
  ))
    if (existsSync(file)) return readNames(file, folders)
  if (!folders || folders.some((name) => WORDNET_ID.test(name)))
    throw new UserError(`The classes of ${printable(places[0])} have no names.`, {
      hint: `put a classnames.txt beside the data: ${folders ? 'the folder and the name, a class a line (n01440764 tench)' : 'a name a line, in the order of the labels'}`,
    })
  return folders.map((name) => name.replaceAll('_', ' '))
}

/** `tench`, or `n01440764 tench, Tinca tinca`: the first of the synonyms. */
function readNames(file: string, folders: string[] | null): string[] {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (lines.length > MAX_CLASSES) throw new UserError(`${printable(file)} has more than ${MAX_CLASSES} classes.`)
  const known = new Set(folders)
  const keyed = new Map(
    lines.flatMap((line) => {
      const [, key, name] = /^(\S+)\s+(.+)$/.exec(line) ?? []
      return key !== undefined && (known.has(key) || WORDNET_ID.test(key)) ? [[key, name.split(',')[0].trim()]] : []
    }),
  )
  if (keyed.size === 0 && (folders === null || folders.length === lines.length)) return lines
  if (folders === null) return [...keyed.values()]
  const unnamed = folders.filter((name) => !keyed.has(name))
  if (unnamed.length > 0)
    throw new UserError(
      `${printable(file)} names ${keyed.size || lines.length} classes, and ${unnamed.length} of ${plural(folders.length, 'folder')} are not among them: ${listed(unnamed)}.`,
    )
  return folders.map((name) => keyed.get(name)!)
}
