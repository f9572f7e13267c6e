import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Layout } from './segmentation-layout.ts'

/** Which files make up a split of a labelled data set. */

/** The ids of a split, in the order of its list; all masks of a folder that has no lists. @throws UserError */
export function readIds(layout: Layout, split: string): string[] {
  const list = path.join(layout.lists, `${split}.txt`)
  if (existsSync(list)) {
    const lines = readFileSync(list, 'utf8').split('\n')
    const ids = lines.map((line) => line.trim().split(/\s+/)[0]).filter((id) => id !== '')
    if (ids.length === 0) throw new UserError(`The list ${list} is empty.`)
    const unsafe = ids.find((id) => path.basename(id) !== id || id === '..')
    if (unsafe !== undefined)
      throw new UserError(`The list ${list} has an entry that is not a name: ${printable(unsafe)}.`)
    return ids
  }
  if (existsSync(layout.lists)) {
    const there = readdirSync(layout.lists).filter((name) => name.endsWith('.txt'))
    throw new UserError(`The split "${split}" of ${layout.name} is not there: ${list} is missing.`, {
      hint: `Lists in the folder: ${there.map((name) => name.slice(0, -4)).join(', ') || 'none'}.`,
    })
  }
  if (!existsSync(layout.masks)) throw new UserError(`The folder of masks ${layout.masks} is not there.`)
  return readdirSync(layout.masks)
    .filter((name) => name.endsWith(layout.maskSuffix))
    .map((name) => name.slice(0, -layout.maskSuffix.length))
    .sort()
}

const IMAGE_EXTENSIONS = ['.jpg', '.jpeg', '.png', '.webp']

/** Images are found by their name, whatever of the known extensions they have. */
export function findImages(folder: string): (id: string) => string | undefined {
  const byName = new Map<string, string>()
  for (const file of existsSync(folder) ? readdirSync(folder) : []) {
    const extension = path.extname(file)
    if (IMAGE_EXTENSIONS.includes(extension.toLowerCase())) byName.set(file.slice(0, -extension.length), file)
  }
  return (id) => {
    const file = byName.get(id)
    return file && path.join(folder, file)
  }
}

/** Where the mask of an id lies. */
export const maskFile = (layout: Layout, id: string): string => path.join(layout.masks, `${id}${layout.maskSuffix}`)
