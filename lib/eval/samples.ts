import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import type { Image } from '../data/image.ts'
import type { SegmentationSet } from '../data/segmentation-set.ts'
import type { Params } from '../tensor/index.ts'
import { encodePng } from './canvas.ts'
import { spread } from './evaluate.ts'
import { labelPixels } from './maps.ts'
import { classColours } from './palette.ts'
import { drawPicture, type Picture } from './picture.ts'
import { prepareImage } from './prepare.ts'
import { pixelGroups } from './scores.ts'
import { type Segmenter, segmentPixels } from './segmentation.ts'
import { openSegmenter } from './segmenter.ts'

/**
 * What there is to draw of an image: its groups after each stage and its labels, at its own size. The image is seen as
 * a whole, so that a group has one colour everywhere.
 */
export async function pictureOf(
  segmenter: Segmenter,
  shortSide: number,
  image: Image,
  classNames: readonly string[],
  mask: Uint8Array | null = null,
): Promise<Picture> {
  const whole = { ...segmenter, options: { ...segmenter.options, window: null } }
  const [{ pixels, encoded }] = await segmentPixels(whole, [prepareImage(image, shortSide)])
  const { width, height } = image
  return {
    image,
    stages: encoded[0].maps.map((_, stage) => pixelGroups(encoded[0], stage, width, height)),
    labels: labelPixels(pixels, height, width),
    mask,
    classNames,
    colours: classColours(classNames.length, segmenter.options.background),
  }
}

/**
 * Segments a few fixed images of a data set and writes one PNG for each into `dir`. The same images at every call, so
 * that they make a film of how the groups emerge.
 */
export async function segmentSamples(options: {
  params: Params
  config: Config
  set: SegmentationSet
  dir: string
  count?: number
}): Promise<{ sample: string; file: string }[]> {
  const { params, config, set, dir, count = 4 } = options
  const segmenter = await openSegmenter(params, config, set.classNames, set.background)
  await mkdir(dir, { recursive: true })
  const written: { sample: string; file: string }[] = []
  for (const index of spread(set.ids.length, count)) {
    const { id, image, mask } = await set.read(index)
    const picture = await pictureOf(segmenter, segmenter.options.shortSide, image, set.classNames, mask.data)
    const file = join(dir, `${id}.png`)
    await writeFile(file, encodePng(drawPicture(picture)))
    written.push({ sample: id, file })
  }
  return written
}
