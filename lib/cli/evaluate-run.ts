import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import type { Protocol } from '../core/events.ts'
import { printable } from '../core/text.ts'
import { openClassificationSet } from '../data/classification-set.ts'
import { encodeMaskPng } from '../data/png.ts'
import { openSegmentationSet, type SegmentationSet } from '../data/segmentation-set.ts'
import { bootstrapInterval } from '../eval/bootstrap.ts'
import { evaluateClassification } from '../eval/classify.ts'
import { type EvalResult, evaluateSegmentation } from '../eval/evaluate.ts'
import { openJournal } from '../eval/journal.ts'
import { sweepThreshold, type ThresholdSweep } from '../eval/threshold.ts'
import { recordLateEvaluation } from '../run/late-eval.ts'
import { protocolHash } from '../store/apply.ts'
import { ingestRun } from '../store/ingest.ts'
import { evaluationsOf } from '../store/runs.ts'
import { tf } from '../tensor/index.ts'
import type { Context } from './command.ts'
import { loadModelOfRun, type ModelOfRun } from './model-of-run.ts'
import { reportProgress } from './progress.ts'

/** Raised when the journal of an evaluation changes its meaning. */
const JOURNAL_VERSION = 1

/** `--dataset`: what is expected under `--root`, and the names that its reader gives it. */
export const DATASETS = {
  voc: /^voc2012$/,
  context: /^context59$/,
  'coco-object': /^coco-object$/,
  'coco-stuff': /^coco-stuff$/,
  scenes: /^scenes/,
  folder: /./,
  imagenet: /./,
} as const

export type EvalArgs = {
  runs: string[]
  dataset?: keyof typeof DATASETS
  root?: string
  voc?: string
  split?: string
  limit: number
  weights?: 'best' | 'last'
  savePredictions?: string
  backgroundThreshold?: string
  set: string[]
}

export type Evaluated = Omit<EvalResult, 'perImage'> & {
  run: string
  step: number
  /** Interval that holds 95 % of the mIoUs (of classification: acc1) of images drawn anew. */
  interval: [number, number]
  /** File of the event in the run's folder; null where only a part of the split was evaluated. */
  recorded: string | null
  /** The background threshold that was used, and mIoU over thresholds on the split it was chosen on. */
  threshold: number | null
  curve: ThresholdSweep['curve'] | null
}

/** Evaluates one run on a whole split and records it, or on a part of it and does not. */
export async function evaluateRun(name: string, args: EvalArgs, context: Context): Promise<Evaluated> {
  const model = await loadModelOfRun(name, overridesOf(args), args.weights, context)
  try {
    return args.dataset === 'imagenet' ? await classify(model, args, context) : await segmentSet(model, args, context)
  } finally {
    tf.dispose(model.params)
  }
}

async function segmentSet(model: ModelOfRun, args: EvalArgs, context: Context): Promise<Evaluated> {
  const { run, params, step } = model
  const { id } = run.identity
  const set = await openSet(model, model.config.eval.voc.split, context)
  if (args.dataset && !DATASETS[args.dataset].test(set.name))
    throw new UserError(`${printable(model.config.eval.voc.root)} holds ${set.name}, not ${args.dataset}.`, {
      hint: '--dataset folder takes whatever is there',
    })
  const { config, protocol, curve } = isChosen(args.backgroundThreshold)
    ? await chooseThreshold(args.backgroundThreshold, model, set, args.limit, context)
    : { config: model.config, protocol: {}, curve: null }
  const folder = args.savePredictions
  if (folder !== undefined) mkdirSync(folder, { recursive: true })
  const fileOf = (image: string) => join(folder ?? '', `${image}.png`)
  const journal = openJournalOf({ ...model, config }, set, args, protocol)
  const known = [...journal.known].filter(([image]) => folder === undefined || existsSync(fileOf(image)))
  if (known.length > 0) context.say(`${id}: ${known.length} images are known from an evaluation that was interrupted`)
  let finished = false
  try {
    const { perImage, ...result } = await evaluateSegmentation({
      params,
      config,
      set,
      purpose: 'final',
      limit: args.limit,
      protocol,
      journal: { ...journal, known: new Map(known) },
      signal: context.signal,
      onProgress: reportProgress(`evaluating ${id}`, 'images', context, known.length),
      onLabels: (image, labels, width, height) => {
        if (folder !== undefined) writeFileSync(fileOf(image), encodeMaskPng(labels, width, height))
      },
    })
    finished = true
    const evaluated = { run: id, step, ...result, threshold: config.eval.backgroundThreshold, curve }
    const interval = bootstrapInterval(perImage, result.classNames.length, { resamples: 2000 })
    const unfit = args.limit > 0 ? 'a part of the split' : isOtherMethod(args) ? 'another method' : null
    if (unfit) context.say(`${id}: ${unfit} is not recorded`)
    return { ...evaluated, interval, recorded: unfit ? null : await record(model, result, perImage, context) }
  } finally {
    journal.close(finished)
  }
}

/** The images that an interrupted evaluation of the same kind has done, by everything that their numbers depend on. */
function openJournalOf(
  { run, config, step, checkpoint }: ModelOfRun,
  set: SegmentationSet,
  { limit, savePredictions }: EvalArgs,
  protocol: Protocol,
) {
  const { voc: _, every: __, ...options } = config.eval
  const key = JSON.stringify([
    [JOURNAL_VERSION, tf.getBackend(), step, checkpoint],
    [set.name, set.split, set.fingerprint, set.classNames, limit],
    [options, config.model.assignment.evalMaps, protocol],
    savePredictions === undefined ? null : resolve(savePredictions),
  ])
  const name = createHash('sha256').update(key).digest('hex').slice(0, 12)
  return openJournal(join(run.dir, 'evals', `unfinished-${name}.jsonl`), key)
}

async function classify(model: ModelOfRun, args: EvalArgs, context: Context): Promise<Evaluated> {
  const { run, params, config, step } = model
  const { id } = run.identity
  if (args.root === undefined)
    throw new UserError('--dataset imagenet needs --root, a folder with class folders or shards.')
  if (args.savePredictions !== undefined || args.backgroundThreshold !== undefined)
    throw new UserError('--save-predictions and --background-threshold have no part in classification.')
  const set = openClassificationSet({ root: args.root, split: args.split ?? 'val', home: context.home })
  try {
    const result = await evaluateClassification({
      params,
      config,
      set,
      limit: args.limit,
      signal: context.signal,
      onProgress: reportProgress(`evaluating ${id}`, 'images', context),
    })
    if (args.limit > 0) context.say(`${id}: a part of the split is not recorded`)
    const recorded = args.limit > 0 ? null : await record(model, result, null, context)
    const interval = wilsonInterval(result.values.acc1, result.images)
    return { run: id, step, ...result, interval, recorded, threshold: null, curve: null }
  } finally {
    set.close()
  }
}

function overridesOf({ set, voc, dataset, root, split, backgroundThreshold }: EvalArgs): string[] {
  if (dataset === 'imagenet') return set
  const place = root ?? voc ?? (dataset === 'scenes' ? 'builtin:scenes' : undefined)
  const options: [key: string, value: string | undefined][] = [
    ['eval.voc.root', dataset === 'coco-stuff' && place !== undefined ? `${place}#stuff` : place],
    ['eval.voc.split', split],
    ['eval.backgroundThreshold', isChosen(backgroundThreshold) ? undefined : backgroundThreshold],
  ]
  return [...set, ...options.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))]
}

/** Interval that holds the share of a population with 95 %, from that of a sample (Wilson 1927). */
function wilsonInterval(share: number, n: number): [number, number] {
  const z = 1.96
  const middle = (share + (z * z) / (2 * n)) / (1 + (z * z) / n)
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n))
  return [middle - half, middle + half]
}

/** Segments of a plain ViT that are not those of the run's configuration are not the run's result. */
const isOtherMethod = ({ set }: EvalArgs): boolean =>
  set.some((text) => /^\s*eval\.(?:plainSegments|clusters)\b/.test(text))

async function openSet({ run, config }: ModelOfRun, split: string, context: Context): Promise<SegmentationSet> {
  const set = await openSegmentationSet({
    ...config.eval.voc,
    split,
    audit: true,
    home: context.home,
    scenes: config.data.scenes,
    onProgress: reportProgress('making the scenes', 'images', context),
  })
  for (const { id, message } of set.leftOut ?? [])
    context.say(`${run.identity.id}: left out: ${printable(id)} ${printable(message)}`)
  return set
}

type Chosen = 'auto' | 'oracle'
const isChosen = (threshold: string | undefined): threshold is Chosen => threshold === 'auto' || threshold === 'oracle'

/** Thresholds chosen for each run may differ: it is the way of choosing that the protocol holds. */
async function chooseThreshold(
  how: Chosen,
  model: ModelOfRun,
  reported: SegmentationSet,
  limit: number,
  context: Context,
): Promise<{ config: Config; protocol: Protocol; curve: ThresholdSweep['curve'] }> {
  const { config, params } = model
  const set = how === 'oracle' ? reported : await openSet(model, config.eval.voc.selectSplit, context)
  if (how === 'auto' && set.split === reported.split)
    throw new UserError(`The threshold would be chosen on the split that is reported, ${set.split} of ${set.name}.`, {
      hint: '--set eval.voc.selectSplit=train names another list; --oracle-threshold says so in the protocol',
    })
  const { best, curve } = await sweepThreshold({
    params,
    config,
    set,
    limit,
    signal: context.signal,
    onProgress: reportProgress(`choosing the threshold on ${set.split}`, 'images', context),
  })
  return {
    config: { ...config, eval: { ...config.eval, backgroundThreshold: best } },
    protocol: { backgroundThreshold: how, threshold: `chosen on ${set.split}` },
    curve,
  }
}

async function record(
  { run, step }: ModelOfRun,
  result: Omit<EvalResult, 'perImage'>,
  perImage: EvalResult['perImage'] | null,
  context: Context,
): Promise<string> {
  const store = await context.store()
  const hash = protocolHash(result.protocol)
  const before = evaluationsOf(store, Number(run.identity.id.slice(3))).find(({ protocol }) => protocol === hash)
  // What this evaluation cannot know, the untrained model's number, stays known.
  const baselines = { ...before?.baselines, ...result.baselines }
  const file = recordLateEvaluation(run.dir, { step, ...result, baselines }, perImage)
  ingestRun(store, run.dir)
  return file
}
