import { UserError } from '../core/errors.ts'
import { type Cell, defineCommand, type Out, withSet } from './command.ts'
import { DATASETS, type EvalArgs, type Evaluated, evaluateRun } from './evaluate-run.ts'
import { classIou, metricText, percent } from './format.ts'

export default defineCommand<EvalArgs, { evaluations: Evaluated[] }>({
  kind: 'evaluations',
  builder: (y) =>
    withSet(y)
      .positional('runs', { type: 'string', array: true, demandOption: true, describe: 'Runs to evaluate' })
      .option('dataset', {
        choices: Object.keys(DATASETS) as (keyof typeof DATASETS)[],
        describe: 'What to evaluate on; imagenet is zero-shot classification, all others are segmentation',
      })
      .option('root', { type: 'string', describe: 'Folder of the data set, or of shards with .cls' })
      .option('voc', { type: 'string', describe: 'Folder in PASCAL VOC layout, or builtin:scenes' })
      .option('split', { type: 'string', describe: 'List under ImageSets/Segmentation; folder of ImageNet (val)' })
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
    const classified = evaluations.filter(isClassification)
    const segmented = evaluations.filter((e) => !isClassification(e))
    if (classified.length > 0) printClassified(classified, out)
    if (segmented.length > 0) printSegmented(segmented, out)
  },
})

const isClassification = ({ protocol }: Evaluated): boolean => protocol.task === 'classification'

function printClassified(evaluations: Evaluated[], out: Out): void {
  out.table({
    columns: [
      { name: 'run', weight: 9 },
      { name: 'acc@1', align: 'right', format: percent, weight: 9 },
      { name: '95 %', weight: 5 },
      { name: 'acc@5', align: 'right', format: percent, weight: 8 },
      { name: 'mean acc@1', align: 'right', format: percent, weight: 4 },
      { name: 'step', align: 'right', weight: 3 },
      { name: 'images', align: 'right', weight: 3 },
      { name: 'classes', align: 'right', weight: 3 },
      { name: 'set', weight: 2 },
      { name: 'chance', align: 'right', format: percent, weight: 6 },
      { name: 'majority', align: 'right', format: percent, weight: 6 },
    ],
    rows: evaluations.map((e): Cell[] => [
      e.run,
      e.values.acc1,
      e.interval.map(percent).join(' … '),
      e.values.acc5,
      e.values.meanAcc1,
      e.step,
      e.images,
      e.protocol.classes as number,
      `${e.protocol.set} ${e.protocol.split}`,
      e.baselines.chance,
      e.baselines.majority,
    ]),
  })
}

function printSegmented(evaluations: Evaluated[], out: Out): void {
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
      { name: 'caption oracle', align: 'right', format: percent, weight: 6 },
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
      e.baselines.captionOracle,
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
}
