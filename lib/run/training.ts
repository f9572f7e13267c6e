import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { configHash } from '../config/hash.ts'
import type { Config } from '../config/schema.ts'
import type { EvalFinished, RunEvent } from '../core/events.ts'
import { printable } from '../core/text.ts'
import { openSegmentationSet, type SegmentationSet } from '../data/segmentation-set.ts'
import { openTrainStream } from '../data/stream.ts'
import { evaluateSegmentation } from '../eval/evaluate.ts'
import { segmentSamples } from '../eval/samples.ts'
import { trainableNames } from '../model/index.ts'
import { openBackend, type Params, tf } from '../tensor/index.ts'
import type { StoredTensor, WrittenTensor } from '../tensor/safetensors.ts'
import { createAdamW } from '../train/adamw.ts'
import { type BestSoFar, trainLoop } from '../train/loop.ts'
import { trainStep } from '../train/step.ts'
import { bestCheckpoint, latestCheckpoint, saveCheckpoint } from './checkpoint.ts'
import { type RunFolder, readRunConfig } from './folder.ts'
import { initialParams } from './initial-weights.ts'
import type { EventLog } from './log.ts'
import { startedAt, thisProcess } from './process.ts'

export type TrainRun = {
  run: RunFolder
  log: EventLog
  /** Aborted when the run shall stop after the step in hand. */
  signal: AbortSignal
  /** Kept up to date for the heartbeat and for whoever writes the last event. */
  progress: { step: number }
}

/** The numbers of a step with how often the data has been seen. */
const withEpoch = (event: RunEvent, stepsPerEpoch: number): RunEvent =>
  event.type === 'metric' && 'train/loss' in event.values
    ? { ...event, values: { ...event.values, 'train/epoch': event.step / stepsPerEpoch } }
    : event

/** Puts a run together from its folder (config, backend, data, model, checkpoint), trains it and evaluates the result. */
export async function trainRun({ run, log, signal, progress }: TrainRun): Promise<'finished' | 'stopped'> {
  const config = readRunConfig(run.dir)
  const home = resolve(run.dir, '../..')
  const threads = config.runtime.threads || Number(process.env.GVX_THREADS ?? 0)
  const backend = await openBackend({ backend: config.runtime.backend, threads })
  const { checkpoint, warnings } = latestCheckpoint(run.dir)
  progress.step = checkpoint?.step ?? 0
  const warn = (code: string, message: string) => log.emit({ type: 'warning', step: progress.step, code, message })

  log.emit({
    type: 'run.started',
    attempt: log.attempt,
    resumedFrom: progress.step,
    totalSteps: config.train.steps,
    host: hostname(),
    pid: process.pid,
    pidStarted: startedAt(thisProcess()),
    backend: backend.name,
    device: backend.device,
    threads: backend.threads,
    git: run.identity.git,
    versions: run.identity.versions,
  })
  for (const warning of warnings) warn('checkpoint.damaged', warning)

  const begin = checkpoint ? { params: tensorsOf(checkpoint.model), notes: [] } : initialParams(config, home)
  const { params } = begin
  for (const note of begin.notes) warn('train.init', note)
  const optimizer = createAdamW(config.train, params, trainableNames(config.model))
  if (checkpoint) optimizer.restore(tensorsOf(checkpoint.optimizer))
  const untrained: Record<string, number> = numbersOf(checkpoint?.state.extra?.untrained)

  const openSet = async (split: string) => {
    const set = await openSegmentationSet({
      ...config.eval.voc,
      split,
      audit: true,
      home,
      scenes: config.data.scenes,
    })
    for (const { id, kind, message } of set.leftOut ?? []) warn(`eval.${kind}`, printable(`${id} ${message}`))
    return set
  }
  const selection = await openSet(config.eval.voc.selectSplit)
  const stream = await openTrainStream({
    config,
    home,
    startStep: progress.step,
    onFault: (fault) =>
      warn(`data.${fault.kind}`, printable(`${fault.shard}${fault.key ? `: ${fault.key}` : ''}: ${fault.message}`)),
  })
  // full batches only, where there is one (`createOrder`)
  const batches = stream.samplesPerEpoch / config.train.batchSize
  const stepsPerEpoch = batches < 1 ? batches : Math.floor(batches)
  try {
    const { ended } = await trainLoop({
      config,
      startStep: progress.step,
      best: checkpoint?.state.best ?? null,
      nextBatch: () => stream.next(),
      trainStep: (batch, step) => {
        const result = trainStep({ params, optimizer, config, batch, step })
        progress.step = step + 1
        return result
      },
      evaluate: async (step) => {
        const evaluation = await evaluate(params, config, selection, 'during', step)
        await drawSamples(step)
        if (step === 0) Object.assign(untrained, { mIoU: evaluation.values.mIoU })
        return { ...evaluation, baselines: { ...evaluation.baselines, untrained: untrained.mIoU } }
      },
      checkpoint: async (step, best, isBest) => save(step, best, isBest),
      emit: (event) => log.emit(withEpoch(event, stepsPerEpoch)),
      stopAsked: () => signal.aborted || log.fenced(),
      now: () => performance.now(),
    })
    if (ended === 'stopped') return 'stopped'
  } finally {
    await stream.close()
  }
  return (await finalEvaluation()) ? 'finished' : 'stopped'

  function save(step: number, best: BestSoFar, isBest: boolean): void {
    if (log.fenced()) return
    log.sync() // the metrics up to here must be on the disk before the checkpoint that makes them unrepeatable
    const saved = saveCheckpoint(run.dir, step, {
      model: writable(params),
      optimizer: writable(optimizer.state()),
      state: {
        configHash: configHash(config),
        best,
        versions: run.identity.versions,
        extra: { untrained, faults: stream.faults(), fingerprint: stream.fingerprint },
      },
      best: isBest,
    })
    log.emit({ type: 'checkpoint.saved', step, ...saved, best: isBest })
  }

  /** Pictures of a few fixed images, the same at every evaluation: a film of how the groups emerge. */
  async function drawSamples(step: number): Promise<void> {
    const folder = `samples/step-${String(step).padStart(8, '0')}`
    const dir = join(run.dir, folder)
    for (const { sample, file } of await segmentSamples({ params, config, set: selection, dir }))
      log.emit({ type: 'sample.segmented', step, sample, file: `${folder}/${basename(file)}` })
  }

  /** The evaluation the leaderboard reads: the whole reported split, with the weights `eval.weights` says. */
  async function finalEvaluation(): Promise<boolean> {
    const chosen = config.eval.weights === 'best' ? bestCheckpoint(run.dir).checkpoint : null
    const weights = chosen ? tensorsOf(chosen.model) : params
    const set = await openSet(config.eval.voc.split)
    try {
      const step = chosen?.step ?? progress.step
      const evaluation = await evaluate(weights, config, set, 'final', step, { signal, dir: run.dir })
      log.emit({ ...evaluation, baselines: { ...evaluation.baselines, untrained: untrained.mIoU } })
      return true
    } catch (error) {
      if (signal.aborted) return false
      throw error
    }
  }
}

/** One evaluation as the event that reports it; with a `dir`, the counts of each image go to a file of the run. */
async function evaluate(
  params: Params,
  config: Config,
  set: SegmentationSet,
  purpose: EvalFinished['purpose'],
  step: number,
  options: { signal?: AbortSignal; dir?: string } = {},
): Promise<EvalFinished> {
  const limit = purpose === 'during' ? config.eval.limit : 0
  const { perImage, ...result } = await evaluateSegmentation({
    params,
    config,
    set,
    purpose,
    limit,
    signal: options.signal,
  })
  let counts: string | null = null
  if (options.dir) {
    counts = `evals/${result.dataset}-${String(step).padStart(8, '0')}.json`
    writeFileSync(join(options.dir, counts), JSON.stringify(perImage), { mode: 0o600 })
  }
  return { type: 'eval.finished', step, ...result, counts }
}

const tensorsOf = (stored: ReadonlyMap<string, StoredTensor>): Params =>
  Object.fromEntries([...stored].map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]))

const writable = (params: Params): Map<string, WrittenTensor> =>
  new Map(
    Object.entries(params).map(([name, tensor]) => [
      name,
      { shape: [...tensor.shape], data: tensor.dataSync() as Float32Array },
    ]),
  )

const numbersOf = (value: unknown): Record<string, number> => ({ ...(value as Record<string, number> | undefined) })
