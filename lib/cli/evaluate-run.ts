import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
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
import type { Context } from './command.ts'
import { loadModelOfRun, type ModelOfRun } from './model-of-run.ts'
import { reportProgress } from './progress.ts'

export type EvalArgs = {
  runs: string[]
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
  /** Interval that holds 95 % of the mIoUs of images drawn anew. */
  interval: [number, number]
  /** File of the event in the run's folder; null where only a part of the split was evaluated. */
  recorded: string | null
  /** The background threshold that was used, and mIoU over thresholds on the split it was chosen on. */
  threshold: number
  curve: ThresholdSweep['curve'] | null
}

/** Evaluates one run on a whole split and records it, or on a part of it and does not. */
export async function evaluateRun(name: string, args: EvalArgs, context: Context): Promise<Evaluated> {
  const model = await loadModelOfRun(name, overridesOf(args), args.weights, context)
  const { run, params, step } = model
  const { id } = run.identity
  const set = await openSet(model, model.config.eval.voc.split, context)
  const { config, protocol, curve } = isChosen(args.backgroundThreshold)
    ? await chooseThreshold(args.backgroundThreshold, model, set, args.limit, context)
    : { config: model.config, protocol: {}, curve: null }
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
  const unfit = args.limit > 0 ? 'a part of the split' : isOtherMethod(args) ? 'another method' : null
  if (unfit) context.say(`${id}: ${unfit} is not recorded`)
  return {
    run: id,
    step,
    ...result,
    interval: bootstrapInterval(perImage, result.classNames.length, { resamples: 2000 }),
    recorded: unfit ? null : await record(model, result, perImage, context),
    threshold: config.eval.backgroundThreshold,
    curve,
  }
}

function overridesOf({ set, voc, split, backgroundThreshold }: EvalArgs): string[] {
  const options: [key: string, value: string | undefined][] = [
    ['eval.voc.root', voc],
    ['eval.voc.split', split],
    ['eval.backgroundThreshold', isChosen(backgroundThreshold) ? undefined : backgroundThreshold],
  ]
  return [...set, ...options.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))]
}

/** Segments of a plain ViT that are not those of the run's configuration are not the run's result. */
const isOtherMethod = ({ set }: EvalArgs): boolean =>
  set.some((text) => /^\s*eval\.(?:plainSegments|clusters)\b/.test(text))

const openSet = ({ config }: ModelOfRun, split: string, context: Context): Promise<SegmentationSet> =>
  openSegmentationSet({
    ...config.eval.voc,
    split,
    home: context.home,
    scenes: config.data.scenes,
    onProgress: reportProgress('making the scenes', 'images', context),
  })

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
      hint: '--set eval.voc.selectSplit=train names another list; --background-threshold oracle says so in the protocol',
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
  perImage: EvalResult['perImage'],
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
