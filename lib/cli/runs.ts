import { formatDuration } from '../core/durations.ts'
import { EXIT } from '../core/errors.ts'
import { listRuns, type RunList } from '../store/runs.ts'
import { type Cell, type Column, defineCommand } from './command.ts'
import { metricText, moment, short } from './format.ts'

const USUAL = ['run', 'label', 'seed', 'status', 'step', 'steps', 'voc.mIoU', 'seconds', 'created', 'tags']

type Args = { where?: string; sort?: string; cols?: string; limit?: number; removed?: boolean }

export default defineCommand<Args, RunList>({
  kind: 'runs',
  builder: (y) =>
    y
      .option('where', {
        alias: 'w',
        type: 'string',
        describe: "Filter: 'status=finished and model.stages=2 and voc.mIoU>0.3'",
      })
      .option('sort', { type: 'string', describe: 'Fields, - for descending: -voc.mIoU,seed' })
      .option('cols', { type: 'string', describe: 'Fields to show; +field adds to the usual ones' })
      .option('limit', { alias: 'n', type: 'number', describe: 'At most so many' })
      .option('removed', { type: 'boolean', describe: 'Runs that were taken out by gvx rm' }),
  async run(args, { store, setExit, say }) {
    const list = listRuns(await store(), {
      where: args.where,
      sort: split(args.sort),
      columns: chosenColumns(args.cols),
      limit: args.limit,
      removed: args.removed,
    })
    if (list.rows.length === 0) {
      setExit(EXIT.nothingFound)
      say(args.where ? 'no run matches.' : 'there are no runs here yet: gvx sweep ablations/stages.yaml makes some.')
    }
    return list
  },
  print(list, out) {
    out.table({
      columns: list.columns.map(columnOf),
      rows: list.rows.map((row) => list.columns.map((name) => row[name])),
    })
  },
})

const split = (text: string | undefined): string[] =>
  (text ? text.split(',').map((part) => part.trim()) : []).filter(Boolean)

function chosenColumns(text: string | undefined): string[] {
  const names = split(text)
  const added = names.filter((name) => name.startsWith('+')).map((name) => name.slice(1))
  if (names.length === 0) return USUAL
  return added.length === names.length ? [...USUAL, ...added] : names.map((name) => name.replace(/^\+/, ''))
}

function columnOf(name: string): Column {
  const weight = { run: 9, status: 8, 'voc.mIoU': 7, label: 6, step: 5, seed: 4 }[name] ?? 1
  const time = ['created', 'started', 'seen'].includes(name)
  const text = [
    'run',
    'label',
    'name',
    'status',
    'kind',
    'hash',
    'sweep',
    'point',
    'tags',
    'backend',
    'device',
    'host',
    'commit',
    'error',
  ]
  const format = time
    ? (value: Cell) => (value === null ? '–' : moment(Date.parse(String(value))))
    : name === 'seconds'
      ? (value: Cell) => (value === null ? '–' : formatDuration(Number(value) * 1000))
      : name === 'hash'
        ? (value: Cell) => String(value)
        : (value: Cell) => (value === null ? '' : typeof value === 'number' ? metricText(name)(value) : short(value))
  return { name, weight, align: time || text.includes(name) ? 'left' : 'right', format }
}
