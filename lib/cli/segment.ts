import { mkdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { messageOf, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { decodeImage } from '../data/image.ts'
import { encodeMaskPng } from '../data/png.ts'
import { openSegmentationSet } from '../data/segmentation-set.ts'
import { type Canvas, encodePng } from '../eval/canvas.ts'
import { drawPicture, type Picture, paintRegions } from '../eval/picture.ts'
import { pictureOf } from '../eval/samples.ts'
import { openSegmenter } from '../eval/segmenter.ts'
import { type Cell, type Context, defineCommand, withSet } from './command.ts'
import { percent } from './format.ts'
import { loadModelOfRun, type ModelOfRun } from './model-of-run.ts'
import { colourDepth, type PictureMode, pictureLines, pictureMode } from './terminal-picture.ts'

type Args = {
  images: string[]
  run: string
  classes?: string
  out?: string
  weights?: 'best' | 'last'
  set: string[]
}

type SegmentedImage = {
  image: string
  /** Picture of the groups and labels, and the labels as a palette PNG; null without --out. */
  picture: string | null
  labels: string | null
  /** Share of the pixels of each class that was found, largest first. */
  classes: { name: string; share: number }[]
}

/** `lines` are the picture as the terminal shows it. */
type Shown = SegmentedImage & { lines: string[] }

/** Lines of the terminal that a picture takes at most. */
const LINES = 24

export default defineCommand<Args, { run: string; images: Shown[] }>({
  kind: 'segmentations',
  builder: (y) =>
    withSet(y)
      .positional('images', { type: 'string', array: true, demandOption: true, describe: 'JPEG, PNG or WebP files' })
      .option('run', { type: 'string', default: '@last', describe: 'run12, 12, @last, @best or tag:x' })
      .option('classes', {
        type: 'string',
        describe: 'Class names, separated by commas; "background" as the first is what is left over',
      })
      .option('out', { alias: 'o', type: 'string', describe: 'Folder for the pictures and label maps' })
      .option('weights', { choices: ['best', 'last'] as const, describe: 'Which checkpoint (the run says: best)' }),
  async run(args, context) {
    if (args.out !== undefined) refuseOverwriting(args.images, args.out)
    const model = await loadModelOfRun(args.run, args.set, args.weights, context)
    const { classNames, background } = await classesOf(args.classes, model, context)
    const segmenter = await openSegmenter(model.params, model.config, classNames, background)
    if (args.out !== undefined) mkdirSync(args.out, { recursive: true })
    const mode = await pictureMode(process.stdin, process.stdout, process.env)
    const columns = Math.max(1, (process.stdout.columns || 80) - 1)
    const images: Shown[] = []
    for (const file of args.images) {
      context.signal.throwIfAborted()
      const image = await readImage(file)
      const picture = await pictureOf(segmenter, segmenter.options.shortSide, image, classNames)
      const files = args.out === undefined ? null : filesOf(file, args.out)
      const write = (what: 'picture' | 'labels', bytes: Uint8Array): string | null => {
        if (files !== null) writeFileSync(files[what], bytes)
        return files?.[what] ?? null
      }
      const drawn = drawPicture(picture)
      images.push({
        image: file,
        picture: write('picture', encodePng(drawn)),
        labels: write('labels', encodeMaskPng(picture.labels, image.width, image.height)),
        classes: sharesOf(picture.labels, classNames),
        lines: mode === 'none' ? [] : await linesOf(mode, columns, drawn, picture),
      })
    }
    return { run: model.run.identity.id, images }
  },
  json: ({ run, images }) => ({ run, images: images.map(({ lines: _, ...rest }) => rest) }),
  print({ images }, out) {
    for (const { lines, image } of images) {
      if (lines.length === 0) continue
      out.line(printable(image))
      for (const line of lines) out.line(line)
    }
    out.table({
      columns: [{ name: 'image', weight: 5 }, { name: 'classes', weight: 9 }, { name: 'picture' }],
      rows: images.map((image): Cell[] => [
        image.image,
        image.classes.map(({ name, share }) => `${name} ${percent(share)}`).join(', '),
        image.picture,
      ]),
    })
  },
})

/** Where the picture and the label map of an image go. */
function filesOf(image: string, out: string): { picture: string; labels: string } {
  const name = basename(image, extname(image))
  return { picture: join(out, `${name}.png`), labels: join(out, `${name}-labels.png`) }
}

/** @throws UserError where an output would be written over an input, or over the output of another image */
function refuseOverwriting(images: readonly string[], out: string): void {
  const taken = new Map(images.map((image) => [resolve(image), image]))
  for (const image of new Set(images))
    for (const file of Object.values(filesOf(image, out))) {
      const other = taken.get(resolve(file))
      if (other !== undefined)
        throw new UserError(
          `--out ${printable(out)}: what is made of ${printable(image)} would be written over ${other === image ? 'it' : `${printable(other)} or what is made of it`}.`,
          { hint: 'another folder, or images whose names differ' },
        )
      taken.set(resolve(file), image)
    }
}

/** Where pixels are shown, the whole picture; as half blocks the labels over the image, all that can be made out. */
function linesOf(
  mode: Exclude<PictureMode, 'none'>,
  columns: number,
  drawn: Canvas,
  { image, labels, colours }: Picture,
): Promise<string[]> {
  const depth = colourDepth(process.env)
  if (mode !== 'blocks') return pictureLines(drawn, mode, { columns, lines: LINES, depth })
  const labelled = paintRegions(image, labels, (c) => colours[c])
  return pictureLines(labelled, mode, { columns: Math.min(columns, 79), lines: LINES, depth })
}

/** The classes that were asked for, or those the run is evaluated on. */
async function classesOf(
  text: string | undefined,
  { config }: ModelOfRun,
  { home }: Context,
): Promise<{ classNames: string[]; background: boolean }> {
  if (text === undefined) return openSegmentationSet({ ...config.eval.voc, home, scenes: config.data.scenes })
  const classNames = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  const background = classNames[0] === 'background'
  if (classNames.length < (background ? 2 : 1) || classNames.length > 255)
    throw new UserError(`--classes ${printable(text)}: expected 1 to 255 names.`, { hint: '--classes "cat,dog,grass"' })
  return { classNames, background }
}

async function readImage(file: string) {
  try {
    return await decodeImage(await readFile(file))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new UserError(`The image ${printable(file)} is not there.`)
    throw new UserError(`${printable(file)} is no image that can be read: ${printable(messageOf(error))}.`)
  }
}

function sharesOf(labels: Uint8Array, classNames: readonly string[]): { name: string; share: number }[] {
  const areas = new Uint32Array(classNames.length)
  for (let i = 0; i < labels.length; i++) areas[labels[i]]++
  return classNames
    .map((name, c) => ({ name, share: areas[c] / labels.length }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share)
}
