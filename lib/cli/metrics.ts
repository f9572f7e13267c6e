import { configSchema } from '../config/schema.ts'
import { openSegmentationSet } from '../data/segmentation-set.ts'
import { type PredictionScores, scorePredictions } from '../eval/predictions.ts'
import { type Cell, defineCommand } from './command.ts'
import { classIou, percent } from './format.ts'
import { reportProgress } from './progress.ts'

type Args = { predictions: string; root: string; split: string; classNames?: 'reference' | 'voc'; partial?: boolean }
type Measured = Omit<PredictionScores, 'perImage'> & { set: string; split: string; classNames: string[] }

export default defineCommand<Args, Measured>({
  kind: 'metrics',
  builder: (y) =>
    y
      .option('predictions', { type: 'string', demandOption: true, describe: 'Folder of predicted masks, ID.png' })
      .option('root', {
        type: 'string',
        demandOption: true,
        describe: 'Folder in PASCAL VOC layout, or builtin:scenes',
      })
      .option('split', { type: 'string', default: 'auto', describe: 'List under ImageSets/Segmentation' })
      .option('class-names', {
        choices: ['reference', 'voc'] as const,
        describe: "VOC's classes as the reference or as VOC names them",
      })
      .option('partial', { type: 'boolean', describe: 'Leave out images without a prediction' }),
  async run(args, context) {
    const { root, split, classNames = 'reference' } = args
    const { data } = configSchema.parse({})
    const set = await openSegmentationSet({ root, split, classNames, home: context.home, scenes: data.scenes })
    const { perImage: _, ...scores } = await scorePredictions(args.predictions, set, {
      partial: args.partial,
      onProgress: reportProgress('comparing', 'masks', context),
    })
    return { ...scores, set: set.name, split: set.split, classNames: set.classNames }
  },
  json: ({ iou, acc, boundary, ...rest }) => ({
    ...rest,
    IoU: iou.map(orNull),
    Acc: acc.map(orNull),
    boundaryIoUPerClass: boundary.map(orNull),
  }),
  print(data, out) {
    out.table({
      columns: ['mIoU', 'aAcc', 'mAcc', 'boundaryIoU'].map((name) => ({ name, align: 'right', format: percent })),
      rows: [[data.mIoU, data.aAcc, data.mAcc, data.boundaryIoU]],
    })
    out.table({
      title: `IoU of each class (${data.set} ${data.split}, ${data.images} images)`,
      columns: [
        { name: 'class' },
        { name: 'IoU', align: 'right', format: classIou },
        { name: 'boundary', align: 'right', format: classIou },
      ],
      rows: data.classNames.map((name, c): Cell[] => [name, data.iou[c], data.boundary[c]]),
    })
  },
})

/** A class that is in neither masks nor predictions has no IoU. */
const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value)
