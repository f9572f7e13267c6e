import { EXIT } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import { type LeaderboardGroup, type LeaderboardRow, leaderboard } from '../store/leaderboard.ts'
import { checkAssertion } from './assertion.ts'
import { type Cell, type Column, defineCommand, type Out } from './command.ts'
import { deltaText, intervalCells, intervalColumns, meanText } from './format.ts'
import { paperRows } from './paper-rows.ts'

type Args = {
  metric: string
  dataset?: string
  sweep?: string
  runs?: string[]
  mixed?: boolean
  reference?: string
  assert?: string[]
}
type Board = { metric: string; groups: LeaderboardGroup[] }

export default defineCommand<Args, Board>({
  kind: 'leaderboard',
  builder: (y) =>
    y
      .option('metric', { type: 'string', default: 'mIoU', describe: 'Value of the final evaluations to rank by' })
      .option('dataset', { type: 'string', describe: 'Only this dataset' })
      .option('sweep', { type: 'string', describe: 'Only runs of this sweep' })
      .option('mixed', { type: 'boolean', describe: 'Rank across protocols, whose numbers do not compare' })
      .option('reference', { choices: ['paper'] as const, describe: "Add the paper's numbers, marked as such" })
      .option('assert', {
        type: 'string',
        array: true,
        nargs: 1,
        describe: "Exit 5 unless it holds: 'voc.mIoU >= 0.4' for the best, 'two-stage > one-stage' for means",
      }),
  async run(args, { store, setExit, say }) {
    const opened = await store()
    const groups = leaderboard(opened, args)
    if (args.reference) for (const group of groups) group.rows.push(...paperRows(group.dataset, args.metric))
    if (groups.length === 0) {
      setExit(EXIT.nothingFound)
      say(nothingThere(args, leaderboard(opened, { metric: args.metric })))
    }
    for (const text of args.assert ?? []) {
      const failure = checkAssertion(text, groups, args.metric)
      if (failure === null) continue
      setExit(EXIT.assertionFalse)
      say(failure)
    }
    return { metric: args.metric, groups }
  },
  json: ({ metric, groups }) => ({
    metric,
    rows: groups.flatMap((group) =>
      group.rows.map(({ mean, std, ...row }) => ({
        ...row,
        [metric]: mean,
        [`${metric}Std`]: std,
        dataset: group.dataset,
        protocol: group.protocol,
        images: group.images,
      })),
    ),
    protocols: groups.map(({ dataset, protocol, protocolJson, images }) => ({
      dataset,
      protocol,
      images,
      fields: protocolJson,
    })),
  }),
  print({ metric, groups }, out) {
    if (groups.length === 0) out.table({ columns: columnsOf(metric, []), rows: [] })
    for (const group of groups) printGroup(group, metric, out)
    if (groups.length > 1) out.say('tables of different protocols do not compare.')
  },
})

/** Why there is no row, where `all` are the groups without the filters. */
function nothingThere({ dataset, sweep, runs }: Args, all: readonly LeaderboardGroup[]): string {
  if (all.length === 0)
    return 'no run has a final evaluation yet: gvx runs lists the runs, gvx watch shows those that run.'
  const names = [...new Set(all.map((group) => group.dataset))].join(', ')
  const asked = [
    ...(dataset === undefined ? [] : [`on the dataset ${printable(dataset)}`]),
    ...(sweep === undefined ? [] : [`of the sweep ${printable(sweep)}`]),
    ...(runs === undefined ? [] : [`of ${plural(runs.length, 'run')} asked for`]),
  ]
  return `no final evaluation ${asked.join(' ')}: there are some on ${names}, gvx leaderboard shows them.`
}

const columnsOf = (metric: string, rows: readonly LeaderboardRow[]): Column[] => [
  { name: 'rank', align: 'right', weight: 8, format: (v) => (v === null ? '' : String(v)) },
  { name: 'name', weight: 9 },
  { name: metric, weight: 9, align: 'right', format: (_, r) => scoreText(rows[r]) },
  { name: 'std', only: 'csv' },
  { name: 'n', align: 'right', weight: 7, format: (v) => (v === null ? '' : String(v)) },
  {
    name: 'Δ to best',
    align: 'right',
    weight: 6,
    format: (v) => (v === 0 ? '0.0' : deltaText(v)),
  },
  ...intervalColumns(4),
  { name: 'best step', align: 'right', weight: 5, format: (v) => (v === null ? '' : String(v)) },
  { name: 'runs', weight: 3 },
  { name: 'protocol', weight: 2 },
  { name: 'commit', weight: 1 },
]

function printGroup(group: LeaderboardGroup, metric: string, out: Out): void {
  out.table({
    title: `${group.dataset}${group.images === null ? '' : `, ${group.images} images`}, protocol ${group.protocol}${chosenOn(group)}`,
    columns: columnsOf(metric, group.rows),
    rows: group.rows.map((row): Cell[] => [
      row.rank,
      row.kind === 'config' ? row.name : row.kind === 'baseline' ? `(${row.name})` : `[${row.name}]`,
      row.mean,
      row.std,
      row.kind === 'config' ? row.n : null,
      row.delta,
      ...intervalCells(row.versusBest),
      row.bestStep,
      row.runs.join(' '),
      row.kind === 'config' ? group.protocol.slice(0, 12) : '',
      row.commits.map((commit) => commit.slice(0, 7)).join(' '),
    ]),
  })
}

/** A threshold that was chosen on the reported split itself is the best there is, not one that could have been known. */
function chosenOn({ protocolJson: { threshold, backgroundThreshold } }: LeaderboardGroup): string {
  if (threshold === undefined) return ''
  return backgroundThreshold === 'oracle' ? `, oracle threshold: ${threshold} itself` : `, threshold ${threshold}`
}

/** `43.8 ± 1.2`; a diverged run is said. */
function scoreText(row: LeaderboardRow): string {
  const bad = row.values.filter((value) => !Number.isFinite(value)).length
  if (bad > 0) return `NaN in ${bad} of ${row.n}`
  return meanText(row)
}
