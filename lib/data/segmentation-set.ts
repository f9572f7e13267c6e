import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import type { Config } from '../config/schema.ts'
import { messageOf, UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import { decodeImage, type Image } from './image.ts'
import { decodeMask, type Mask } from './mask.ts'
import { ensureScenes, type OnProgress } from './scenes/write.ts'
import { auditLabels, type LabelProblem, refuseAbove } from './segmentation-audit.ts'
import { findImages, maskFile, readIds } from './segmentation-files.ts'
import { layoutOf } from './segmentation-layout.ts'

type LabelledImage = { id: string; image: Image; mask: Mask }

export type SegmentationSet = {
  name: string
  split: string
  /** Names of mask values 0…n−1; the first is `background` where `background` is true. */
  classNames: string[]
  background: boolean
  /** Indices of the classes that are things, null where nobody said. */
  things: number[] | null
  ignoreIndex: 255
  /** Hash of the list, of the masks and of the images' sizes. */
  fingerprint: string
  ids: string[]
  /** Images of the list that cannot be used, where the split was audited: not in `ids`. */
  leftOut?: LabelProblem[]
  /** @throws UserError where a file is damaged or image and mask differ in size. */
  read(index: number): Promise<LabelledImage>
}

/** Names of missing files in a message. */
const NAMED = 3

/**
 * Opens a labelled split in PASCAL VOC layout: a VOCdevkit or VOC2012, a folder with a `classes.yaml`, or
 * `builtin:scenes`, which is made on first use. `ROOT#variant` takes a variant of its classes.yaml: `builtin:scenes#voc`
 * has things over background. Split `auto` is the one that the data set reports.
 *
 * @throws UserError where the list, an image or a mask is missing.
 */
export async function openSegmentationSet(options: {
  root: string
  split: string
  classNames: 'reference' | 'voc'
  home: string
  scenes: Config['data']['scenes']
  /** Look at every image before; up to the share `faultQuota` is left out. Otherwise whatever is missing is an error. */
  audit?: boolean
  faultQuota?: number
  onProgress?: OnProgress
}): Promise<SegmentationSet> {
  const [place, variant = null] = options.root.split('#')
  const root =
    place === 'builtin:scenes'
      ? await ensureScenes(options.scenes, options.home, options.onProgress)
      : path.resolve(place)
  const layout = layoutOf(root, variant, options.classNames)
  const split = options.split === 'auto' ? layout.reported : options.split
  const listed = readIds(layout, split)
  const imageOf = findImages(layout.images)
  const maskOf = (id: string) => maskFile(layout, id)
  // what gvx has made itself has a manifest and is whole
  const audited = options.audit === true && layout.fingerprint === null
  const leftOut = audited
    ? await auditLabels(listed, { imageOf, maskOf, remap: layout.remap, classes: layout.classes.length })
    : []
  refuseAbove(options.faultQuota ?? 0, leftOut, listed.length, `the split "${split}" of ${layout.name}`)
  const unusable = new Set(leftOut.map(({ id }) => id))
  const ids = listed.filter((id) => !unusable.has(id))
  const missing = (isThere: (id: string) => boolean) => ids.filter((id) => !isThere(id))
  complain(
    layout.images,
    'image',
    split,
    missing((id) => imageOf(id) !== undefined),
    ids.length,
  )
  complain(
    layout.masks,
    'mask',
    split,
    missing((id) => existsSync(maskOf(id))),
    ids.length,
  )

  return {
    name: layout.name,
    split,
    classNames: layout.classes,
    background: layout.background,
    things: layout.things?.map((name) => layout.classes.indexOf(name)).filter((i) => i >= 0) ?? null,
    ignoreIndex: 255,
    fingerprint: layout.fingerprint ? `${layout.fingerprint}-${split}` : fingerprintOf(ids, imageOf, maskOf),
    ids,
    leftOut,
    read: (index) => readLabelled(ids[index], imageOf(ids[index])!, maskOf(ids[index]), layout.remap),
  }
}

function complain(folder: string, what: string, split: string, missing: string[], total: number): void {
  if (missing.length === 0) return
  const named = missing.slice(0, NAMED).map(printable).join(', ') + (missing.length > NAMED ? ', …' : '')
  throw new UserError(
    `${missing.length} of ${plural(total, what)} of the split "${split}" are missing in ${folder}: ${named}.`,
    {
      hint: 'gvx data check DIR lists them all.',
    },
  )
}

/** The masks by their bytes, the images by their sizes: hashing the photographs would take longer than opening the set. */
function fingerprintOf(
  ids: string[],
  imageOf: (id: string) => string | undefined,
  maskOf: (id: string) => string,
): string {
  const hash = createHash('sha256')
  for (const id of ids) hash.update(`${id} ${statSync(imageOf(id)!).size}\n`).update(readFileSync(maskOf(id)))
  return hash.digest('hex').slice(0, 16)
}

async function readLabelled(
  id: string,
  imageFile: string,
  maskFile: string,
  remap: Uint8Array | null,
): Promise<LabelledImage> {
  const [image, mask] = await Promise.all([
    readFile(imageFile).then(decodeImage).catch(damaged(imageFile)),
    readFile(maskFile)
      .then((bytes) => decodeMask(bytes, remap))
      .catch(damaged(maskFile)),
  ])
  if (image.width !== mask.width || image.height !== mask.height)
    throw new UserError(
      `The mask of ${printable(id)} is ${mask.width}×${mask.height}, its image ${image.width}×${image.height} (${maskFile}).`,
    )
  return { id, image, mask }
}

const damaged =
  (file: string) =>
  (error: unknown): never => {
    throw new UserError(`${file} cannot be used: ${printable(messageOf(error))}.`)
  }
