import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { EXIT, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { decodeImage } from '../data/image.ts'
import { openSegmentationSet } from '../data/segmentation-set.ts'
import { encodePng } from '../eval/canvas.ts'
import { addImage, emptyMatrix, rowsOfMatrix } from '../eval/confusion-matrix.ts'
import { evaluateSegmentation } from '../eval/evaluate.ts'
import { filmStrip } from '../eval/picture.ts'
import { runsFolder } from '../run/folder.ts'
import { resolveRunName } from '../store/names.ts'
import type { Store } from '../store/open.ts'
import { getRun, seriesOf, summariesOf } from '../store/runs.ts'
import { tf } from '../tensor/index.ts'
import { CHART_FORMATS, type ChartFormat, writeChart } from './chart-file.ts'
import { type Context, defineCommand, withSet } from './command.ts'
import { percent } from './format.ts'
import { loadModelOfRun } from './model-of-run.ts'
import { reportProgress } from './progress.ts'
import { curvesSpec, matrixSpec } from './vega-lite.ts'

type Args = {
  runs: string[]
  metric: string
  out: string
  log?: boolean
  samples?: boolean
  confusion?: boolean
  limit: number
  set: string[]
}
type Plotted = {
  file: string
  curves: number
  /** Pixels by class of the mask (rows) and predicted class (columns), where that was drawn. */
  confusion?: { run: string; classNames: string[]; images: number; mIoU: number; pixels: number[][] }
}

export default defineCommand<Args, Plotted>({
  kind: 'plot',
  builder: (y) =>
    withSet(y)
      .positional('runs', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'run12, 12, @last, @best, tag:x',
      })
      .option('metric', {
        alias: 'm',
        type: 'string',
        default: 'eval/voc/mIoU',
        describe: 'What to draw over the steps',
      })
      .option('out', {
        alias: 'o',
        type: 'string',
        demandOption: true,
        describe: 'File to write: .svg, .png, or .json, the Vega-Lite specification that these are drawn from',
      })
      .option('log', { type: 'boolean', describe: 'Logarithmic y axis' })
      .option('samples', { type: 'boolean', describe: 'Film strip of how the groups of one run emerged (.png)' })
      .option('confusion', {
        type: 'boolean',
        describe: 'Which class was taken for which: segments the images of the run’s evaluation anew',
      })
      .option('limit', { type: 'number', default: 0, describe: 'With --confusion: only so many images, spread evenly' })
      .conflicts('samples', 'confusion'),
  async run(args, context) {
    const { home } = context
    const store = await context.store()
    const ids = args.runs.map((name) => resolveRunName(store, name))
    const format = extname(args.out).toLowerCase()
    if (args.samples) {
      if (ids.length > 1 || format !== '.png')
        throw new UserError('--samples draws one run into a .png file.', {
          hint: 'gvx plot run1 --samples -o film.png',
        })
      return drawFilm(join(runsFolder(home), `run${ids[0]}`), args.out)
    }
    if (!isChartFormat(format))
      throw new UserError(`${printable(args.out)}: expected a file that ends with ${CHART_FORMATS.join(', ')}.`)
    if (args.confusion) {
      if (ids.length > 1)
        throw new UserError('--confusion draws one run.', { hint: 'gvx plot run1 --confusion -o f.svg' })
      return drawConfusion(args, format, context)
    }
    const lines = ids.map((id) => {
      const { steps, values } = seriesOf(store, id, args.metric, { maxPoints: 2000 })
      return { name: `run${id} ${getRun(store, id).label}`, x: steps, y: values }
    })
    if (lines.every(({ x }) => x.length === 0)) throw noPoints(store, ids, args.metric)
    await writeChart(curvesSpec(lines, { title: args.metric, log: args.log }), args.out, format)
    return { file: args.out, curves: lines.length }
  },
  print: ({ file }, out) => out.table({ columns: [{ name: 'file' }], rows: [[file]] }),
})

const isChartFormat = (format: string): format is ChartFormat => (CHART_FORMATS as readonly string[]).includes(format)

/** The counts that are kept of an evaluation say how much of a class was found, not what the rest was taken for. */
async function drawConfusion(
  { runs: [name], set: sets, limit, out }: Args,
  format: ChartFormat,
  context: Context,
): Promise<Plotted> {
  const { run, config, params } = await loadModelOfRun(name, sets, undefined, context)
  try {
    const set = await openSegmentationSet({ ...config.eval.voc, home: context.home, scenes: config.data.scenes })
    const matrix = emptyMatrix(set.classNames.length)
    const places = new Map(set.ids.map((id, index) => [id, index]))
    const { values, images } = await evaluateSegmentation({
      params,
      config,
      set,
      purpose: 'final',
      limit,
      signal: context.signal,
      onProgress: reportProgress(`segmenting by ${run.identity.id}`, 'images', context),
      onLabels: async (id, labels) => addImage(matrix, labels, (await set.read(places.get(id)!)).mask.data),
    })
    const { counts, shares } = rowsOfMatrix(matrix)
    const chart = matrixSpec(shares, set.classNames, {
      title: `${run.identity.id} ${run.identity.label}: mIoU ${percent(values.mIoU)}`,
      subtitle: `percent of the pixels of each class, ${set.name} ${set.split}, ${images} images`,
      rows: 'mask',
      columns: 'predicted',
    })
    await writeChart(chart, out, format)
    const confusion = { run: run.identity.id, classNames: set.classNames, images, mIoU: values.mIoU, pixels: counts }
    return { file: out, curves: 0, confusion }
  } finally {
    tf.dispose(params)
  }
}

/** One row a moment: the picture of the first sample, which is the same image every time. */
async function drawFilm(runDir: string, file: string): Promise<Plotted> {
  const root = join(runDir, 'samples')
  const steps = folders(root).filter((name) => /^step-\d+$/.test(name))
  const sample = steps.length > 0 ? folders(join(root, steps[0])).find((name) => name.endsWith('.png')) : undefined
  if (sample === undefined)
    throw new UserError(`There are no pictures in ${root}.`, {
      hint: 'they are made at every evaluation during training',
      exitCode: EXIT.nothingFound,
    })
  const moments = []
  for (const step of steps)
    if (folders(join(root, step)).includes(sample))
      moments.push({
        caption: `step ${Number(step.slice('step-'.length))}`,
        canvas: await decodeImage(readFileSync(join(root, step, sample))),
      })
  writeFileSync(file, encodePng(filmStrip(moments)))
  return { file, curves: moments.length }
}

function folders(dir: string): string[] {
  try {
    return readdirSync(dir).sort()
  } catch {
    return []
  }
}

function noPoints(store: Store, ids: readonly number[], metric: string): UserError {
  const known = [...new Set(ids.flatMap((id) => summariesOf(store, id).map(({ name }) => name)))]
  return new UserError(`no run has a point of ${printable(metric)}.`, {
    hint: known.length > 0 ? `there is ${known.join(', ')}` : 'nothing has been measured yet',
    exitCode: EXIT.nothingFound,
  })
}
