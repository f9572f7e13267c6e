import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import sharp from 'sharp'
import { stringify } from 'yaml'
import { encodeMaskPng, encodeRgbPng } from '../png.ts'
import { createShardWriter } from '../shard-writer.ts'
import { drawScene, type RenderedScene, renderScene, type Scene, type Split, type Tier } from './scene.ts'
import { THINGS } from './shapes.ts'
import { STUFF } from './textures.ts'

export type ScenesOptions = { tier: Tier; size: number; train: number; val: number; test: number; seed: number }
export type OnProgress = (done: number, total: number) => void

/** Raised when the same options would give other pixels, masks or captions. */
const GENERATOR_VERSION = 2
const SAMPLES_PER_SHARD = 1000

/** What `scenes.json` in the folder says about it; the fingerprint covers every pixel, mask and caption. */
export type ScenesManifest = ScenesOptions & { generator: number; fingerprint: string }

/** The folder of these scenes below `home`, made on first use: `data/scenes-easy-64-1a2b3c4d/`. */
export async function ensureScenes(options: ScenesOptions, home: string, onProgress?: OnProgress): Promise<string> {
  const dir = path.join(home, 'data', `scenes-${options.tier}-${options.size}-${optionsHash(options)}`)
  if (existsSync(path.join(dir, 'scenes.json'))) return dir
  const unfinished = `${dir}.tmp-${randomBytes(4).toString('hex')}`
  try {
    await makeScenes(options, unfinished, onProgress)
    await rename(unfinished, dir)
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    // Another process may have finished the same folder first: its bytes are ours.
    if (!existsSync(path.join(dir, 'scenes.json'))) throw error
  }
  return dir
}

/**
 * Writes the scenes into `dir`: webdataset shards of the training split, val and test in PASCAL VOC layout with things
 * over background (SegmentationClass) and with things and stuff (SegmentationClassContext, the one classes.yaml selects).
 */
export async function makeScenes(
  options: ScenesOptions,
  dir: string,
  onProgress?: OnProgress,
): Promise<ScenesManifest> {
  for (const folder of ['JPEGImages', 'SegmentationClass', 'SegmentationClassContext', 'ImageSets/Segmentation'])
    await mkdir(path.join(dir, folder), { recursive: true })
  const hash = createHash('sha256')
  const total = options.train + options.val + options.test
  let done = 0
  const next = async (split: Split, index: number): Promise<{ scene: Scene; image: RenderedScene }> => {
    const scene = drawScene(options.seed, split, index, options.tier, options.size)
    const image = renderScene(scene)
    hash.update(image.pixels).update(image.context).update(`${scene.caption}\n`)
    if (++done % 50 === 0 || done === total) {
      onProgress?.(done, total)
      await nextTurn() // signals and other work of the process get their turn
    }
    return { scene, image }
  }

  const shards = createShardWriter(dir, 'train', SAMPLES_PER_SHARD)
  for (let i = 0; i < options.train; i++) {
    const { scene, image } = await next('train', i)
    const png = encodeRgbPng(image.pixels, options.size, options.size)
    await shards.add({ key: sceneId('train', i), members: { png, txt: scene.caption } })
  }
  await shards.close()

  for (const split of ['val', 'test'] as const) {
    const ids: string[] = []
    for (let i = 0; i < options[split]; i++) {
      const { image } = await next(split, i)
      ids.push(sceneId(split, i))
      await writeLabelled(dir, ids[i], image, options.size)
    }
    await writeFile(path.join(dir, 'ImageSets/Segmentation', `${split}.txt`), ids.map((id) => `${id}\n`).join(''))
  }

  const manifest = { generator: GENERATOR_VERSION, ...options, fingerprint: hash.digest('hex').slice(0, 16) }
  await writeFile(path.join(dir, 'classes.yaml'), classesFile(manifest))
  await writeFile(path.join(dir, 'scenes.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return manifest
}

/** What `scenes.json` says, or null where the folder holds none. */
export async function readManifest(dir: string): Promise<ScenesManifest | null> {
  const file = path.join(dir, 'scenes.json')
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as ScenesManifest) : null
}

const sceneId = (split: Split, index: number): string => `${split}-${String(index).padStart(6, '0')}`

async function writeLabelled(dir: string, id: string, image: RenderedScene, size: number): Promise<void> {
  const jpeg = await sharp(image.pixels, { raw: { width: size, height: size, channels: 3 } })
    .jpeg({ quality: 95, chromaSubsampling: '4:4:4' })
    .toBuffer()
  await writeFile(path.join(dir, 'JPEGImages', `${id}.jpg`), jpeg)
  await writeFile(path.join(dir, 'SegmentationClass', `${id}.png`), encodeMaskPng(image.things, size, size))
  await writeFile(path.join(dir, 'SegmentationClassContext', `${id}.png`), encodeMaskPng(image.context, size, size))
}

const classesFile = ({ tier, size, fingerprint }: ScenesManifest): string =>
  `# Classes of the masks, read by gvx instead of PASCAL VOC's.\n${stringify({
    name: `scenes-${tier}-${size}`,
    fingerprint,
    reported: 'test',
    masks: 'SegmentationClassContext',
    background: false,
    classes: [...THINGS, ...STUFF],
    things: [...THINGS],
    variants: { voc: { masks: 'SegmentationClass', background: true, classes: [...THINGS], things: [...THINGS] } },
  })}`

function optionsHash(options: ScenesOptions): string {
  const { tier, size, train, val, test, seed } = options
  const key = JSON.stringify([GENERATOR_VERSION, tier, size, train, val, test, seed])
  return createHash('sha256').update(key).digest('hex').slice(0, 8)
}
