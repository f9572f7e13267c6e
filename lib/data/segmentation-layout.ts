import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { messageOf, UserError } from '../core/errors.ts'
import {
  COCO_OBJECT,
  COCO_STUFF,
  COCO_STUFF_REMAP,
  COCO_STUFF_TO_OBJECT,
  CONTEXT,
  VOC_ORIGINAL,
  VOC_REFERENCE,
} from './class-names.ts'

/** Where the images, masks and lists of a data set lie and what its mask values mean. */
export type Layout = {
  name: string
  images: string
  masks: string
  /** Folder of the split lists; a folder without it is taken whole. */
  lists: string
  /** What follows the id in the name of a mask. */
  maskSuffix: string
  /** From a mask's values to classes, where they are not the same. */
  remap: Uint8Array | null
  classes: string[]
  background: boolean
  things: string[] | null
  fingerprint: string | null
  /** The split that is reported where the configuration says `auto`. */
  reported: string
}

const classesSchema = z.strictObject({
  name: z.string().optional(),
  fingerprint: z.string().optional(),
  images: z.string().default('JPEGImages'),
  masks: z.string().default('SegmentationClass'),
  lists: z.string().default('ImageSets/Segmentation'),
  background: z.boolean().default(true).describe('Whether mask value 0 is background; it is not listed in classes'),
  classes: z.array(z.string().min(1)).min(1).max(254),
  things: z.array(z.string()).optional(),
  reported: z.string().default('val'),
  variants: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
})

/**
 * The layout of a folder: its `classes.yaml` where it has one (`variant` picks one of its variants), else that of PASCAL
 * VOC (given as VOCdevkit or VOC2012), PASCAL Context (VOC2010) or COCO-Object, by what is in it.
 *
 * @throws UserError where it is none of them.
 */
export function layoutOf(root: string, variant: string | null, classNames: 'reference' | 'voc'): Layout {
  if (!existsSync(root)) throw new UserError(`The data set ${root} is not there.`, { hint: 'Check eval.voc.root.' })
  if (existsSync(path.join(root, 'classes.yaml'))) return readClasses(root, variant)
  const coco = cocoLayout(root, variant)
  if (variant && !coco) throw new UserError(`${root} has no classes.yaml and so no variant "${variant}".`)
  const known = contextLayout(root) ?? vocLayout(root, classNames) ?? coco
  if (known) return known
  throw new UserError(`${root} is not in PASCAL VOC layout: it has no SegmentationClass.`, {
    hint: 'Give VOCdevkit or VOC2012, or put a classes.yaml into a folder of your own (docs/data.md).',
  })
}

type Known = Pick<Layout, 'name' | 'images' | 'masks' | 'lists' | 'classes' | 'things'> & Partial<Layout>

/** What the three known data sets share. */
const knownLayout = (layout: Known): Layout => ({
  background: true,
  fingerprint: null,
  maskSuffix: '.png',
  remap: null,
  reported: 'val',
  ...layout,
})

function vocLayout(root: string, classNames: 'reference' | 'voc'): Layout | null {
  const places = [root, path.join(root, 'VOC2012'), path.join(root, 'VOCdevkit/VOC2012')]
  const voc = places.find((dir) => existsSync(path.join(dir, 'SegmentationClass')))
  if (!voc) return null
  const classes = classNames === 'voc' ? VOC_ORIGINAL : VOC_REFERENCE
  return knownLayout({
    name: 'voc2012',
    images: path.join(voc, 'JPEGImages'),
    masks: path.join(voc, 'SegmentationClass'),
    lists: path.join(voc, 'ImageSets/Segmentation'),
    classes,
    things: classes.slice(1),
  })
}

/** As mmsegmentation prepares VOC2010: indices 0…59 in SegmentationClassContext. Only where the folder itself is given. */
function contextLayout(context: string): Layout | null {
  if (!existsSync(path.join(context, 'SegmentationClassContext'))) return null
  return knownLayout({
    name: 'context59',
    images: path.join(context, 'JPEGImages'),
    masks: path.join(context, 'SegmentationClassContext'),
    lists: path.join(context, 'ImageSets/SegmentationContext'),
    classes: CONTEXT,
    things: null,
  })
}

/**
 * COCO 2017's val images with COCO-Stuff's pixel maps, or with the masks that the reference makes of them. Its 80 things
 * over background, or as the variant `stuff` all 171 classes.
 */
function cocoLayout(root: string, variant: string | null): Layout | null {
  const maps = path.join(root, 'stuffthingmaps/val2017')
  const prepared = path.join(root, 'annotations/val2017')
  const masks = [maps, prepared].find((dir) => existsSync(dir))
  if (!masks) return null
  if (variant !== null) {
    if (variant !== 'stuff') throw new UserError(`COCO has no variant "${variant}".`, { hint: 'It has: stuff.' })
    if (masks !== maps)
      throw new UserError(`${root} has the masks of COCO-Object and no stuffthingmaps/val2017.`, {
        hint: 'COCO-Stuff needs stuffthingmaps_trainval2017.zip of its authors.',
      })
    return knownLayout({
      name: 'coco-stuff',
      images: path.join(root, 'images/val2017'),
      masks,
      lists: path.join(root, 'lists'),
      classes: COCO_STUFF,
      background: false,
      things: COCO_OBJECT.slice(1),
      remap: COCO_STUFF_REMAP,
    })
  }
  return knownLayout({
    name: 'coco-object',
    images: path.join(root, 'images/val2017'),
    masks,
    lists: path.join(root, 'lists'),
    classes: COCO_OBJECT,
    things: COCO_OBJECT.slice(1),
    ...(masks === maps ? { remap: COCO_STUFF_TO_OBJECT } : { maskSuffix: '_instanceTrainIds.png' }),
  })
}

function readClasses(root: string, variant: string | null): Layout {
  const file = path.join(root, 'classes.yaml')
  let raw: Record<string, unknown>
  try {
    raw = parse(readFileSync(file, 'utf8'), { maxAliasCount: 0 }) as Record<string, unknown>
  } catch (error) {
    throw new UserError(`${file} is not YAML: ${messageOf(error).split('\n')[0]}`)
  }
  const base = parseClasses(file, raw)
  const chosen = variant === null ? {} : base.variants?.[variant]
  if (!chosen)
    throw new UserError(`${file} has no variant "${variant}".`, {
      hint: `It has: ${Object.keys(base.variants ?? {}).join(', ') || 'none'}.`,
    })
  const spec = parseClasses(file, { ...raw, ...chosen })
  return {
    name: [spec.name ?? path.basename(path.resolve(root)), variant].filter(Boolean).join('-'),
    images: path.join(root, spec.images),
    masks: path.join(root, spec.masks),
    lists: path.join(root, spec.lists),
    maskSuffix: '.png',
    remap: null,
    classes: spec.background ? ['background', ...spec.classes] : spec.classes,
    background: spec.background,
    things: spec.things ?? null,
    fingerprint: spec.fingerprint ?? null,
    reported: spec.reported,
  }
}

function parseClasses(file: string, value: unknown): z.output<typeof classesSchema> {
  const parsed = classesSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new UserError(`${file}: ${issue.path.join('.') || 'the file'}: ${issue.message}`)
}
