import { UserError } from '../core/errors.ts'
import { type Cell, type Column, defineCommand, type Out, type Table, withSet } from './command.ts'
import { DATASETS, type EvalArgs, type Evaluated, evaluateRun } from './evaluate-run.ts'
import { classIou, metricText, percent } from './format.ts'

export default defineCommand<EvalArgs & { oracleThreshold?: boolean }, { evaluations: Evaluated[] }>({
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
        describe: 'A number; auto: chosen on eval.voc.selectSplit; oracle: as --oracle-threshold',
      })
      .option('oracle-threshold', {
        type: 'boolean',
        describe: 'Choose the threshold on the split that is reported; protocol and leaderboard say so',
      })
      .conflicts('oracle-threshold', 'background-threshold')
      .option('save-predictions', { type: 'string', describe: 'Folder for the predicted masks, as palette PNGs' }),
  async run(args, context) {
    if (!Number.isInteger(args.limit) || args.limit < 0)
      throw new UserError(`--limit ${args.limit}: expected a number of images, 0 for all.`)
    const options = args.oracleThreshold ? { ...args, backgroundThreshold: 'oracle' } : args
    const evaluations: Evaluated[] = []
    for (const name of args.runs) evaluations.push(await evaluateRun(name, options, context))
    return { evaluations }
  },
  print({ evaluations }, out) {
    const classified = evaluations.filter(isClassification)
    const segmented = evaluations.filter((e) => !isClassification(e))
    if (classified.length > 0) out.table(tableOf(CLASSIFIED, classified))
    if (segmented.length > 0) printSegmented(segmented, out)
  },
})

const isClassification = ({ protocol }: Evaluated): boolean => protocol.task === 'classification'

/** A column and what stands in it. */
type Field = Column & { of: (evaluated: Evaluated) => Cell }

const share = (name: string, weight: number, of: Field['of']): Field => ({
  name,
  align: 'right',
  weight,
  format: percent,
  of,
})
const number = (name: string, of: Field['of']): Field => ({ name, align: 'right', weight: 3, of })

/** The score with its interval, what else was measured, on what, and what the score is worth. */
const fieldsOf = (score: Field, others: readonly Field[], worth: readonly Field[]): Field[] => [
  { name: 'run', weight: 9, of: (e) => e.run },
  score,
  { name: '95 %', weight: 5, only: 'people', of: (e) => e.interval.map(percent).join(' … ') },
  { name: '95 % from', only: 'csv', of: (e) => e.interval[0] },
  { name: 'to', only: 'csv', of: (e) => e.interval[1] },
  ...others,
  number('step', (e) => e.step),
  number('images', (e) => e.images),
  { name: 'set', weight: 2, of: (e) => `${e.protocol.set} ${e.protocol.split}` },
  share('chance', 6, (e) => e.baselines.chance),
  share('majority', 6, (e) => e.baselines.majority),
  ...worth,
]

const CLASSIFIED = fieldsOf(
  share('acc@1', 9, (e) => e.values.acc1),
  [
    share('acc@5', 8, (e) => e.values.acc5),
    share('mean acc@1', 4, (e) => e.values.meanAcc1),
    number('classes', (e) => e.protocol.classes as number),
  ],
  [],
)

const SEGMENTED = fieldsOf(
  share('mIoU', 9, (e) => e.values.mIoU),
  [],
  [share('caption oracle', 6, (e) => e.baselines.captionOracle)],
)

const tableOf = (fields: readonly Field[], evaluations: readonly Evaluated[]): Table => ({
  columns: [...fields],
  rows: evaluations.map((e) => fields.map(({ of }) => of(e))),
})

function printSegmented(evaluations: Evaluated[], out: Out): void {
  out.table(tableOf(SEGMENTED, evaluations))
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
