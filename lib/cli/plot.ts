import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import sharp from 'sharp'
import { EXIT, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { decodeImage } from '../data/image.ts'
import { encodePng } from '../eval/canvas.ts'
import { filmStrip } from '../eval/picture.ts'
import { runsFolder } from '../run/folder.ts'
import { resolveRunName } from '../store/names.ts'
import type { Store } from '../store/open.ts'
import { getRun, seriesOf, summariesOf } from '../store/runs.ts'
import { defineCommand } from './command.ts'
import { lineChart } from './line-chart.ts'

type Args = { runs: string[]; metric: string; out: string; log?: boolean; samples?: boolean }
type Plotted = { file: string; curves: number }

export default defineCommand<Args, Plotted>({
  kind: 'plot',
  builder: (y) =>
    y
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
      .option('out', { alias: 'o', type: 'string', demandOption: true, describe: 'File to write: .svg or .png' })
      .option('log', { type: 'boolean', describe: 'Logarithmic y axis' })
      .option('samples', { type: 'boolean', describe: 'Film strip of how the groups of one run emerged (.png)' }),
  async run(args, { home, store: open }) {
    const store = await open()
    const ids = args.runs.map((name) => resolveRunName(store, name))
    const format = extname(args.out).toLowerCase()
    if (args.samples) {
      if (ids.length > 1 || format !== '.png')
        throw new UserError('--samples draws one run into a .png file.', {
          hint: 'gvx plot run1 --samples -o film.png',
        })
      return drawFilm(join(runsFolder(home), `run${ids[0]}`), args.out)
    }
    if (format !== '.svg' && format !== '.png')
      throw new UserError(`${printable(args.out)}: expected a file that ends with .svg or .png.`)
    const lines = ids.map((id) => {
      const { steps, values } = seriesOf(store, id, args.metric, { maxPoints: 2000 })
      return { name: `run${id} ${getRun(store, id).label}`, x: steps, y: values }
    })
    if (lines.every(({ x }) => x.length === 0)) throw noPoints(store, ids, args.metric)
    const chart = lineChart(lines, { title: args.metric, xLabel: 'step', log: args.log, outlined: format === '.png' })
    if (format === '.svg') writeFileSync(args.out, chart)
    else await sharp(Buffer.from(chart), { density: 144 }).png().toFile(args.out)
    return { file: args.out, curves: lines.length }
  },
  print: ({ file }, out) => out.line(printable(file)),
})

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
