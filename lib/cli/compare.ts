import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { type Comparison, compareRuns } from '../store/compare.ts'
import { resolveRunName } from '../store/names.ts'
import { type CodeDifference, codeDifference } from './code-difference.ts'
import { type Cell, type Column, defineCommand, type Out } from './command.ts'
import {
  classIou,
  deltaText,
  intervalCells,
  intervalColumns,
  meanText,
  metricText,
  percent,
  signedPercent,
} from './format.ts'
import { type Curve, curvesOf, drawCurves } from './loss-chart.ts'
import { evaluationJson } from './show.ts'

type Args = { runs: string[]; 'at-step'?: number; trim?: boolean; code?: boolean }
type Compared = Comparison & { curves: { metric: string; curves: Curve[] }[]; code: CodeDifference[] }

export default defineCommand<Args, Compared>({
  kind: 'compare',
  builder: (y) =>
    y
      .positional('runs', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'run1 run2 …; the first is the base',
      })
      .option('at-step', { type: 'number', describe: 'What was known at this step' })
      .option('code', { type: 'boolean', describe: 'With the commits between the runs and their uncommitted changes' })
      .option('trim', { type: 'boolean', describe: 'Cut all runs to the steps that every one has done' }),
  async run(args, context) {
    const store = await context.store()
    const ids = [...new Set(args.runs.map((name) => resolveRunName(store, name)))]
    if (ids.length < 2) throw new UserError('compare needs two different runs.', { hint: 'gvx compare run1 run2' })
    const comparison = compareRuns(store, ids, { atStep: args['at-step'], trim: args.trim })
    const curves = ['train/loss', ...new Set(comparison.runs.flatMap((run) => run.params['eval.metric'] ?? []))].map(
      (metric) => ({
        metric,
        curves: curvesOf(store, ids, metric, comparison.upTo ?? undefined),
      }),
    )
    const [first, ...others] = comparison.runs
    const code = args.code ? others.map((run) => codeDifference(context.home, first, run)) : []
    return { ...comparison, curves, code }
  },
  json: ({ runs, config, metrics, results, classes, intervals, seeds, upTo, curves, code }) => ({
    runs: runs.map(({ run, name, label, seed, status, step, configHash }) => ({
      run,
      name,
      label,
      seed,
      status,
      step,
      configHash,
    })),
    upTo,
    config,
    metrics,
    results: results.map((r) => ({ ...r, evaluations: r.evaluations.map((e) => e && evaluationJson(e)) })),
    classes,
    intervals,
    seeds,
    curves,
    code,
  }),
  print(compared, out) {
    printRuns(compared, out)
    printConfig(compared, out)
    printResults(compared, out)
    printSeeds(compared, out)
    printClasses(compared, out)
    printMetrics(compared, out)
    for (const { metric, curves } of compared.curves) drawCurves(curves, metric, out)
    for (const difference of compared.code) printCode(difference, out)
  },
})

function printRuns({ runs, upTo }: Compared, out: Out): void {
  out.table({
    columns: [
      { name: 'run', weight: 9 },
      { name: 'label', weight: 8 },
      { name: 'seed', align: 'right' },
      { name: 'status', weight: 7 },
      { name: 'step', align: 'right' },
      { name: 'commit' },
    ],
    rows: runs.map((run): Cell[] => [
      run.run,
      run.label,
      run.seed,
      run.status,
      run.step,
      run.git.commit?.slice(0, 10) ?? '',
    ]),
  })
  if (upTo !== null) out.line(`Metrics up to step ${upTo}.`)
}

function printConfig({ runs, config }: Compared, out: Out): void {
  if (config.length === 0) {
    out.line('The configurations are equal.')
    return
  }
  out.table({
    title: 'Configuration: what differs',
    columns: [{ name: 'key', weight: 9 }, ...runs.map((run): Column => ({ name: run.run }))],
    rows: config.map(({ key, values }): Cell[] => [key, ...values]),
  })
}

function printResults({ runs, results, intervals }: Compared, out: Out): void {
  for (const { dataset, comparable, evaluations } of results) {
    const names = [...new Set(evaluations.flatMap((e) => Object.keys(e?.values ?? {})))]
    const baselines = [...new Set(evaluations.flatMap((e) => Object.keys(e?.baselines ?? {})))]
    const text = (value: Cell, row: number) => {
      if (row < names.length) return metricText(names[row])(value)
      return row < names.length + baselines.length ? percent(value) : stepText(value)
    }
    // beside numbers and not compared: no differences
    const beside = (values: Cell[]) => values.flatMap((value, i): Cell[] => (i === 0 ? [value] : [value, null]))
    out.table({
      title: `${evaluations.some((e) => e?.purpose === 'during') ? 'Evaluation during training' : 'Final evaluation'}: ${dataset}`,
      columns: [{ name: 'value', weight: 9 }, ...valueColumns(runs, text)],
      rows: [
        ...names.map((name): Cell[] => [name, ...withDeltas(evaluations.map((e) => e?.values[name] ?? null))]),
        ...baselines.map((name): Cell[] => [
          `(${name})`,
          ...beside(evaluations.map((e) => e?.baselines[name] ?? null)),
        ]),
        ['step', ...beside(evaluations.map((e) => e?.step ?? null))],
      ],
    })
    if (!comparable) out.line('The protocols of these evaluations differ: the numbers do not compare.')
  }
  if (intervals.length === 0) return
  out.table({
    title: 'Over images: mIoU, paired bootstrap',
    columns: [
      { name: 'difference', weight: 9 },
      { name: 'data', weight: 2 },
      { name: 'Δ', align: 'right', weight: 8, format: signedPercent },
      ...intervalColumns(),
      { name: 'images', align: 'right', weight: 1 },
    ],
    rows: intervals.map(({ a, b, dataset, images, difference, ...test }): Cell[] => [
      `${b} − ${a}`,
      dataset,
      difference,
      ...intervalCells(test),
      images,
    ]),
  })
  out.line('Images alone are drawn anew there: what another seed would change is not in it.')
}

function printSeeds({ seeds }: Compared, out: Out): void {
  for (const { dataset, configurations } of seeds)
    out.table({
      title: `Over seeds: mIoU on ${dataset}, each configuration against the first by Welch's t-test`,
      columns: [
        { name: 'configuration', weight: 9 },
        { name: 'n', align: 'right', weight: 7 },
        { name: 'mIoU', align: 'right', weight: 8, format: (_, r) => meanText(configurations[r]) },
        { name: 'std', only: 'csv' },
        { name: 'Δ', align: 'right', weight: 6, format: deltaText },
        ...intervalColumns(),
        { name: 'runs', weight: 2 },
      ],
      rows: configurations.map(({ name, values, mean, std, test, runs }, i): Cell[] => [
        name,
        values.length,
        mean,
        std,
        i === 0 ? null : mean - configurations[0].mean,
        ...intervalCells(test),
        runs.join(' '),
      ]),
    })
}

function printClasses({ runs, classes, intervals }: Compared, out: Out): void {
  for (const { dataset, rows } of classes) {
    const own = intervals.filter((interval) => interval.dataset === dataset)
    out.table({
      title: `IoU of each class: ${dataset}${own.length > 0 ? ', differences with their 95 % intervals over images' : ''}`,
      columns: [
        { name: 'class', weight: 9 },
        ...valueColumns(runs, classIou),
        ...own.flatMap(({ b }): Column[] => [
          {
            name: `from ${b}`,
            align: 'right',
            weight: 3,
            format: signedPercent,
            only: own.length > 1 ? 'csv' : undefined,
          },
          {
            name: `to ${b}`,
            align: 'right',
            weight: 3,
            format: signedPercent,
            only: own.length > 1 ? 'csv' : undefined,
          },
        ]),
      ],
      rows: rows.map(({ name, iou }, c): Cell[] => [
        name,
        ...withDeltas(iou),
        ...own.flatMap((interval): Cell[] => interval.classes[c].interval),
      ]),
    })
  }
}

function printCode({ a, b, commits, files, dirty }: CodeDifference, out: Out): void {
  out.line(out.bold(`Code: ${a} → ${b}`))
  if (commits === null) out.line('The commits are not known here.')
  else if (commits.length === 0 && files?.length === 0) out.line('Both were trained by the same commit.')
  if (dirty[0] !== null && dirty[0] === dirty[1]) out.line('Both had the same uncommitted changes.')
  const changes = dirty[0] === dirty[1] ? [] : [a, b].map((run, i) => ({ run, diff: dirty[i] }))
  out.facts([
    { name: 'code', value: `${a} → ${b}`, said: true },
    ...(commits ?? []).map((value) => ({ name: 'commit', value })),
    ...(files ?? []).map((line) => ({ name: 'file', value: line.trim() })),
    ...changes.map(({ run, diff }) => ({ name: `uncommitted in ${run}`, value: diff, said: true })),
  ])
  for (const { run, diff } of changes) {
    if (diff === null) continue
    out.line(out.bold(`Uncommitted changes of ${run}`))
    for (const text of diff.trimEnd().split('\n')) out.line(printable(text))
  }
}

function printMetrics({ runs, metrics }: Compared, out: Out): void {
  if (metrics.length === 0) return
  const text = (value: Cell, row: number) => metricText(metrics[row].name)(value)
  out.table({
    title: 'Metrics: last and best (with its step)',
    columns: [
      { name: 'metric', weight: 9 },
      ...runs.flatMap(({ run }, i): Column[] => [
        { name: run, align: 'right', weight: 5, format: text },
        {
          name: `best ${run}`,
          align: 'right',
          weight: 4,
          format: (best, r) => {
            const step = metrics[r].runs[i]?.bestStep
            return step === null || step === undefined ? '–' : `${text(best, r)} @${step}`
          },
        },
        { name: `at ${run}`, only: 'csv' },
      ]),
    ],
    rows: metrics.map(({ name, runs: values }): Cell[] => [
      name,
      ...values.flatMap((v): Cell[] => (v === null ? [null, null, null] : [v.last, v.best, v.bestStep])),
    ]),
  })
}

/** A column for each run, and beside all but the first the difference to it. */
const valueColumns = (runs: Compared['runs'], format: Column['format']): Column[] =>
  runs.flatMap(({ run }, i): Column[] => [
    { name: run, align: 'right', weight: 5, format },
    ...(i === 0 ? [] : [{ name: `Δ ${run}`, align: 'right' as const, weight: 4, format: deltaText }]),
  ])

const withDeltas = (values: readonly (number | null)[]): Cell[] =>
  values.flatMap((value, i): Cell[] => {
    if (i === 0) return [value]
    const base = values[0]
    return [value, value === null || base === null ? null : value - base]
  })

const stepText = (value: Cell): string => (value === null ? '–' : String(value))
