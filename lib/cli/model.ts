import { loadConfig } from '../config/load.ts'
import { describeModel, type ModelDescription } from '../model/describe.ts'
import { formatBytes } from '../tui/format.ts'
import { type Cell, defineCommand, withSet } from './command.ts'

type Args = { config?: string; set: string[]; batch?: number }
type Described = ModelDescription & { batch: number; texts: number; activationBytesOfBatch: number }

export default defineCommand<Args, Described>({
  kind: 'model',
  builder: (y) =>
    withSet(y)
      .positional('config', { type: 'string', describe: 'A configuration; none describes the defaults, the paper’s' })
      .option('batch', { type: 'number', describe: 'Images of a step; the configuration’s when not given' }),
  run({ config: file, set, batch: asked }) {
    const { config } = loadConfig(file ?? null, { sets: set })
    const description = describeModel(config.model)
    const batch = asked ?? config.train.batchSize
    const texts = batch * (1 + config.multiLabel.nouns)
    const { image, text } = description.activationBytes
    return { ...description, batch, texts, activationBytesOfBatch: batch * image + texts * text }
  },
  print(model, out) {
    const number = (value: Cell) => (value as number).toLocaleString('en-US')
    const fixed = (value: Cell) => (value as number).toFixed(2)
    out.table({
      columns: [
        { name: 'stage' },
        { name: 'channels', align: 'right', weight: 0 },
        { name: 'tokens', align: 'right' },
        { name: 'group tokens', align: 'right' },
        { name: 'layers', align: 'right' },
        { name: 'drop path', align: 'right', weight: 0 },
        { name: 'segments', align: 'right' },
        { name: 'parameters', align: 'right', format: number },
        { name: 'GFLOPs', align: 'right', format: fixed },
      ],
      rows: model.stages.map((s): Cell[] => [
        s.stage,
        s.channels,
        s.tokens,
        s.groupTokens,
        s.layers,
        s.dropPath.map((rate) => rate.toFixed(4)).join(' – '),
        s.segments,
        s.parameters,
        s.gflops,
      ]),
    })
    const { parameters, gflops } = model
    out.table({
      columns: [
        { name: 'part' },
        { name: 'parameters', align: 'right', format: number },
        { name: 'GFLOPs', align: 'right', format: (value) => (value === null ? '' : fixed(value)) },
      ],
      rows: [
        ['image encoder', parameters.image, gflops.image],
        ['text encoder', parameters.text, gflops.text],
        ['image head', parameters.imageHead, null],
        ['text head', parameters.textHead, null],
        ['scales', parameters.scales, null],
        ['all', parameters.total, null],
      ],
    })
    const bytes = formatBytes(model.activationBytesOfBatch)
    out.line(`a step on ${model.batch} images and ${model.texts} texts keeps about ${bytes} of activations`)
  },
})
