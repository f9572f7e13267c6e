import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../core/errors.ts'
import { encodeMaskPng } from '../data/png.ts'
import { openSegmentationSet } from '../data/segmentation-set.ts'
import { bootstrapInterval } from '../eval/bootstrap.ts'
import { type EvalResult, evaluateSegmentation } from '../eval/evaluate.ts'
import { recordLateEvaluation } from '../run/late-eval.ts'
import { protocolHash } from '../store/apply.ts'
import { ingestRun } from '../store/ingest.ts'
import { evaluationsOf } from '../store/runs.ts'
import { tf } from '../tensor/index.ts'
import { type Cell, type Context, defineCommand, withSet } from './command.ts'
import { classIou, metricText, percent } from './format.ts'
import { loadModelOfRun } from './model-of-run.ts'
import { reportProgress } from './progress.ts'

type Args = {
  runs: string[]
  voc?: string
  split?: string
  limit: number
  weights?: 'best' | 'last'
  savePredictions?: string
  set: string[]
}

type Evaluated = Omit<EvalResult, 'perImage'> & {
  run: string
  step: number
  /** Interval that holds 95 % of the mIoUs of images drawn anew. */
  interval: [number, number]
  /** File of the event in the run's folder; null where only a part of the split was evaluated. */
  recorded: string | null
}

export default defineCommand<Args, { evaluations: Evaluated[] }>({
  kind: 'evaluations',
  builder: (y) =>
    withSet(y)
      .positional('runs', { type: 'string', array: true, demandOption: true, describe: 'Runs to evaluate' })
      .option('voc', { type: 'string', describe: 'Folder in PASCAL VOC layout, or builtin:scenes' })
      .option('split', { type: 'string', describe: 'List under ImageSets/Segmentation' })
      .option('limit', {
        type: 'number',
        default: 0,
        describe: 'Images, evenly from the list; the result is not recorded',
      })
      .option('weights', { choices: ['best', 'last'] as const, describe: 'Which checkpoint (the run says: best)' })
      .option('save-predictions', { type: 'string', describe: 'Folder for the predicted masks, as palette PNGs' }),
  async run(args, context) {
    if (!Number.isInteger(args.limit) || args.limit < 0)
      throw new UserError(`--limit ${args.limit}: expected a number of images, 0 for all.`)
    const evaluations: Evaluated[] = []
    for (const name of args.runs) evaluations.push(await evaluateRun(name, args, context))
    return { evaluations }
  },
  print({ evaluations }, out) {
    out.table({
      columns: [
        { name: 'run', weight: 9 },
        { name: 'mIoU', align: 'right', format: percent, weight: 9 },
        { name: '95 %', weight: 5 },
        { name: 'step', align: 'right', weight: 3 },
        { name: 'images', align: 'right', weight: 3 },
        { name: 'set', weight: 2 },
        { name: 'chance', align: 'right', format: percent, weight: 6 },
        { name: 'majority', align: 'right', format: percent, weight: 6 },
      ],
      rows: evaluations.map((e): Cell[] => [
        e.run,
        e.values.mIoU,
        e.interval.map(percent).join(' … '),
        e.step,
        e.images,
        `${e.protocol.set} ${e.protocol.split}`,
        e.baselines.chance,
        e.baselines.majority,
      ]),
    })
    for (const e of evaluations) {
      const others = Object.entries(e.values).filter(([name]) => name !== 'mIoU')
      out.line(`${e.run}  ${others.map(([name, value]) => `${name} ${metricText(name)(value)}`).join('  ')}`)
      out.table({
        columns: [{ name: 'class' }, { name: 'IoU', align: 'right', format: classIou }],
        rows: e.classNames.map((name, c): Cell[] => [name, e.iou[c]]),
      })
    }
  },
})

async function evaluateRun(name: string, args: Args, context: Context): Promise<Evaluated> {
  const sets = [
    ...args.set,
    ...(args.voc === undefined ? [] : [`eval.voc.root=${args.voc}`]),
    ...(args.split === undefined ? [] : [`eval.voc.split=${args.split}`]),
  ]
  const { run, config, params, step } = await loadModelOfRun(name, sets, args.weights, context)
  const { id } = run.identity
  const set = await openSegmentationSet({
    ...config.eval.voc,
    home: context.home,
    scenes: config.data.scenes,
    onProgress: reportProgress('making the scenes', 'images', context),
  })
  const folder = args.savePredictions
  if (folder !== undefined) mkdirSync(folder, { recursive: true })
  const { perImage, ...result } = await evaluateSegmentation({
    params,
    config,
    set,
    purpose: 'final',
    limit: args.limit,
    signal: context.signal,
    onProgress: reportProgress(`evaluating ${id}`, 'images', context),
    onLabels: (image, labels, width, height) => {
      if (folder !== undefined) writeFileSync(join(folder, `${image}.png`), encodeMaskPng(labels, width, height))
    },
  })
  tf.dispose(params)
  let recorded: string | null = null
  const otherMethod = args.set.some((text) => /^\s*eval\.(?:plainSegments|clusters)\b/.test(text))
  if (args.limit === 0 && !otherMethod) {
    const store = await context.store()
    const before = evaluationsOf(store, Number(id.slice(3))).find((e) => e.protocol === protocolHash(result.protocol))
    // What this evaluation cannot know, the untrained model's number, stays known.
    result.baselines = { ...before?.baselines, ...result.baselines }
    recorded = recordLateEvaluation(run.dir, { step, ...result }, perImage)
    ingestRun(store, run.dir)
  } else context.say(`${id}: ${otherMethod ? 'another method' : 'a part of the split'} is not recorded`)
  const interval = bootstrapInterval(perImage, result.classNames.length, { resamples: 2000 })
  return { run: id, step, ...result, interval, recorded }
}
