import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../core/errors.ts'
import type { Protocol } from '../core/events.ts'
import { encodeMaskPng } from '../data/png.ts'
import { openSegmentationSet, type SegmentationSet } from '../data/segmentation-set.ts'
import { bootstrapInterval } from '../eval/bootstrap.ts'
import { type EvalResult, evaluateSegmentation } from '../eval/evaluate.ts'
import { sweepThreshold, type ThresholdSweep } from '../eval/threshold.ts'
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
  backgroundThreshold?: string
  set: string[]
}

type Evaluated = Omit<EvalResult, 'perImage'> & {
  run: string
  step: number
  /** Interval that holds 95 % of the mIoUs of images drawn anew. */
  interval: [number, number]
  /** File of the event in the run's folder; null where only a part of the split was evaluated. */
  recorded: string | null
  /** The background threshold that was used, and mIoU over thresholds on the split it was chosen on. */
  threshold: number
  curve: ThresholdSweep['curve'] | null
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
      .option('background-threshold', {
        type: 'string',
        describe: 'A number; auto: chosen on eval.voc.selectSplit; oracle: chosen on the split that is reported',
      })
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
      if (e.curve)
        out.table({
          title: `mIoU over the background threshold (${e.run}); ${e.threshold} was chosen`,
          columns: [
            { name: 'threshold', align: 'right' },
            { name: 'mIoU', align: 'right', format: percent },
          ],
          rows: e.curve.map(({ threshold, mIoU }): Cell[] => [threshold, mIoU]),
        })
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
  const tuned = args.backgroundThreshold === undefined || /^(?:auto|oracle)$/.test(args.backgroundThreshold)
  const sets = [
    ...args.set,
    ...(args.voc === undefined ? [] : [`eval.voc.root=${args.voc}`]),
    ...(args.split === undefined ? [] : [`eval.voc.split=${args.split}`]),
    ...(tuned ? [] : [`eval.backgroundThreshold=${args.backgroundThreshold}`]),
  ]
  const model = await loadModelOfRun(name, sets, args.weights, context)
  const { run, params, step } = model
  let { config } = model
  const { id } = run.identity
  const openSet = (split: string) =>
    openSegmentationSet({
      ...config.eval.voc,
      split,
      home: context.home,
      scenes: config.data.scenes,
      onProgress: reportProgress('making the scenes', 'images', context),
    })
  const set = await openSet(config.eval.voc.split)
  let curve: ThresholdSweep['curve'] | null = null
  let protocol: Protocol = {}
  if (args.backgroundThreshold !== undefined && tuned) {
    const oracle = args.backgroundThreshold === 'oracle'
    const tuning = oracle ? set : await openSet(config.eval.voc.selectSplit)
    if (!oracle && tuning.split === set.split) throw sameSplit(set)
    const sweep = await sweepThreshold({
      params,
      config,
      set: tuning,
      limit: args.limit,
      signal: context.signal,
      onProgress: reportProgress(`choosing the threshold on ${tuning.split}`, 'images', context),
    })
    curve = sweep.curve
    config = { ...config, eval: { ...config.eval, backgroundThreshold: sweep.best } }
    protocol = { threshold: oracle ? 'oracle' : `chosen on ${tuning.split}` }
    // What is chosen for each run may differ; the way it is chosen is what must be equal.
    if (!oracle) protocol.backgroundThreshold = 'auto'
  }
  const folder = args.savePredictions
  if (folder !== undefined) mkdirSync(folder, { recursive: true })
  const { perImage, ...result } = await evaluateSegmentation({
    params,
    config,
    set,
    purpose: 'final',
    limit: args.limit,
    protocol,
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
  return { run: id, step, ...result, interval, recorded, threshold: config.eval.backgroundThreshold, curve }
}

const sameSplit = ({ name, split }: SegmentationSet) =>
  new UserError(`The threshold would be chosen on the split that is reported, ${split} of ${name}.`, {
    hint: '--set eval.voc.selectSplit=train names another list; --background-threshold oracle says so in the protocol',
  })
