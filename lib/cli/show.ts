import { formatDuration } from '../core/durations.ts'
import { plural, printable } from '../core/text.ts'
import { resolveRunName } from '../store/names.ts'
import { type Evaluation, evaluationsOf, getRun, type Run, type Summary, summariesOf } from '../store/runs.ts'
import { type Cell, type Column, defineCommand, type Fact, type Out } from './command.ts'
import { classIou, metricText, moment, percent } from './format.ts'
import { type Curve, curvesOf, drawCurves } from './loss-chart.ts'

type Shown = { run: Run; metrics: Summary[]; evaluations: Evaluation[]; loss: Curve[]; folder: string; all: boolean }

export default defineCommand<{ run: string; all?: boolean }, Shown>({
  kind: 'run',
  builder: (y) =>
    y
      .positional('run', { type: 'string', demandOption: true, describe: 'run12, 12, @last, @best or tag:x' })
      .option('all', { type: 'boolean', describe: 'With every value of the configuration' }),
  async run(args, context) {
    const store = await context.store()
    const id = resolveRunName(store, args.run)
    return {
      run: getRun(store, id),
      metrics: summariesOf(store, id),
      evaluations: evaluationsOf(store, id),
      loss: curvesOf(store, [id], 'train/loss'),
      folder: `${context.home}/runs/run${id}`,
      all: Boolean(args.all),
    }
  },
  json: ({ run, metrics, evaluations, folder }) => ({
    run: { ...run, folder },
    metrics,
    evaluations: evaluations.map(evaluationJson),
  }),
  print(shown, out) {
    printHead(shown, out)
    printResults(shown.evaluations, out)
    const text = (value: Cell, row: number) => metricText(shown.metrics[row].name)(value)
    if (shown.metrics.length > 0)
      out.table({
        title: 'Metrics',
        columns: [
          { name: 'metric', weight: 9 },
          { name: 'last', align: 'right', weight: 8, format: text },
          { name: 'step', align: 'right' },
          { name: 'min', align: 'right', weight: 5, format: text },
          { name: 'at', align: 'right' },
          { name: 'max', align: 'right', weight: 5, format: text },
          { name: 'at step', align: 'right' },
          { name: 'not finite', align: 'right' },
        ],
        rows: shown.metrics.map((m): Cell[] => [
          m.name,
          m.last,
          m.lastStep,
          m.min,
          m.minStep,
          m.max,
          m.maxStep,
          m.nonFinite || null,
        ]),
      })
    drawCurves(shown.loss, 'train/loss', out)
    printClasses(shown.evaluations, out)
    if (shown.all)
      out.table({
        title: 'Configuration',
        columns: [{ name: 'key' }, { name: 'value' }],
        rows: Object.entries(shown.run.params).map(([key, value]) => [key, value]),
      })
  },
})

/** An evaluation as `--json` has it: without the bytes of its counts. */
export const evaluationJson = ({ counts, protocolJson, ...rest }: Evaluation) => ({
  ...rest,
  protocolFields: protocolJson,
  perImageCounts: counts !== null,
})

function printHead({ run, folder }: Shown, out: Out): void {
  const last = run.attempts.at(-1)
  const { started, seen, warnings } = run
  const steps = `${run.step} of ${run.totalSteps ?? '?'}${run.checkpoint === null ? '' : `, checkpoint at ${run.checkpoint}`}`
  const attempts = run.attempts.length > 1 ? `, ${run.attempts.length} attempts` : ''
  const code = `gvx ${run.versions.gvx ?? '?'}, ${run.git.commit?.slice(0, 10) ?? 'no commit'}${run.git.dirty ? ' with changes' : ''}`
  const facts: (Fact | null | false)[] = [
    { name: 'run', value: run.run, said: true },
    { name: 'label', value: run.label, said: true },
    { name: 'seed', value: run.seed, said: true },
    { name: 'status', value: run.status, said: true },
    run.error !== null && { name: 'error', value: run.error },
    { name: 'steps', value: steps },
    started !== null &&
      seen !== null && { name: 'time', value: `${moment(started)}, ${formatDuration(seen - started)}${attempts}` },
    last?.backend ? { name: 'device', value: whereOf(last) } : null,
    { name: 'code', value: code },
    { name: 'config', value: `${run.configHash}${run.sweep ? `, point ${run.point} of sweep ${run.sweep}` : ''}` },
    run.argv.length > 0 && { name: 'command', value: run.argv.join(' ') },
    { name: 'folder', value: folder },
    run.tags.length > 0 && { name: 'tags', value: run.tags.join(' ') },
    ...run.notes.map((note) => ({ name: 'note', value: `${moment(note.t)}  ${note.text}` })),
    ...warnings.slice(-5).map(({ step, message }) => ({ name: 'warning', value: `step ${step}: ${message}` })),
    warnings.length > 5 && { name: '', value: `… ${warnings.length} warnings in all: gvx logs ${run.run}` },
    run.damaged > 0 && { name: 'warning', value: `${run.damaged} lines of the log could not be read` },
  ]
  out.line(`${out.bold(run.run)}  ${printable(run.label)}  seed ${run.seed}  ${run.status}`)
  out.facts(facts.filter((fact) => fact !== null && fact !== false))
  out.line()
}

/** `native, CPU (avx512, 2 threads), on vm`: most devices say their threads themselves. */
function whereOf({ backend, device, threads, host }: Shown['run']['attempts'][number]): string {
  const count = /thread/.test(device ?? '') || threads === null ? [] : [plural(threads, 'thread')]
  return [backend, device, ...count, `on ${host}`].join(', ')
}

function printResults(evaluations: Evaluation[], out: Out): void {
  const finals = evaluations.filter((e) => e.purpose === 'final')
  if (finals.length === 0) return
  for (const { dataset, values, step, images, protocol } of finals)
    if (values.acc1 !== undefined) {
      const accuracies = Object.entries(values).map(([name, value]) => `${name} ${percent(value)}`)
      out.line(`${dataset}: ${accuracies.join(', ')} (step ${step}, ${images} images, protocol ${protocol})`)
    }
  const segmented = finals.filter(({ values }) => values.acc1 === undefined)
  if (segmented.length === 0) return
  const baselines = [...new Set(finals.flatMap((e) => Object.keys(e.baselines)))]
  out.table({
    title: 'Final evaluations',
    columns: [
      { name: 'dataset', weight: 9 },
      { name: 'mIoU', align: 'right', format: percent, weight: 9 },
      { name: 'aAcc', align: 'right', format: percent },
      { name: 'step', align: 'right' },
      { name: 'images', align: 'right' },
      { name: 'beside it', weight: 7, only: 'people' },
      ...baselines.map((name): Column => ({ name, only: 'csv' })),
      { name: 'protocol' },
    ],
    rows: segmented.map((e): Cell[] => [
      e.dataset,
      e.values.mIoU ?? null,
      e.values.aAcc ?? null,
      e.step,
      e.images,
      Object.entries(e.baselines)
        .map(([name, value]) => `${name} ${percent(value)}`)
        .join(', '),
      ...baselines.map((name) => e.baselines[name] ?? null),
      e.protocol,
    ]),
  })
}

function printClasses(evaluations: Evaluation[], out: Out): void {
  const newest = evaluations[0]
  if (!newest || newest.classNames.length === 0) return
  out.line()
  out.table({
    title: `IoU of each class (${newest.dataset}, ${newest.purpose}, step ${newest.step})`,
    columns: [{ name: 'class' }, { name: 'IoU', align: 'right', format: classIou }],
    rows: newest.classNames.map((name, c): Cell[] => [name, newest.iou[c] ?? null]),
  })
}
