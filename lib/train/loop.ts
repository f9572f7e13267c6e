import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import type { Emit, EvalFinished, MetricValues } from '../core/events.ts'
import type { StepResult, TrainBatch } from './step.ts'

/** What training needs from the world around it; nothing here knows a disk, a database or a screen. */
export type Training = {
  config: Config
  /** Steps already done: 0, or the step of the checkpoint that was restored. */
  startStep: number
  /** Best value of `eval.metric` so far, as the checkpoint remembers it. */
  best: BestSoFar
  /** The batch of the next step. */
  nextBatch(): Promise<TrainBatch>
  /** One optimizer step on it; `step` counts from 0. */
  trainStep(batch: TrainBatch, step: number): StepResult
  /** Evaluates the present weights during training. `step` counts finished steps. */
  evaluate(step: number): Promise<EvalFinished>
  /** Saves everything a bit-exact continuation needs. Called after the step's events are out. */
  checkpoint(step: number, best: BestSoFar, isBest: boolean): Promise<void>
  emit: Emit
  /** Whether the run shall stop after the step in hand. */
  stopAsked(): boolean
  /** Milliseconds, monotonic. */
  now(): number
}

export type BestSoFar = { step: number; value: number } | null

/** A run that has diverged will not come back; two NaN readings in a row end it. */
const NAN_READINGS = 2

/**
 * Trains from `startStep` to `train.steps` and returns the steps done with why it ended.
 * Metrics go out every `logEvery` steps (the only time numbers are read from the device), evaluations every
 * `eval.every` steps and after the last one, checkpoints every `checkpointEvery` steps, at a new best and at the end.
 *
 * @throws UserError when the loss is no longer a number, or whatever the data stream throws.
 */
export async function trainLoop(
  training: Training,
): Promise<{ step: number; ended: 'finished' | 'stopped'; best: BestSoFar }> {
  const { config, emit, now } = training
  const { steps, batchSize, logEvery, checkpointEvery } = config.train
  let { startStep: step, best } = training
  // a checkpoint that was just restored need not be written again, nor an untrained model
  let savedAt = step
  let windowStart = now()
  let windowSteps = 0
  let waited = 0
  let nanReadings = 0

  if (step === 0) await report(await training.evaluate(0))

  while (step < steps && !training.stopAsked()) {
    const asked = now()
    const batch = await training.nextBatch()
    waited += now() - asked
    const result = training.trainStep(batch, step)
    step++
    windowSteps++

    if (step % logEvery === 0 || step === steps) {
      const values = result.read()
      const seconds = (now() - windowStart) / 1000
      emit({ type: 'metric', step, values: { ...values, ...speed(windowSteps * batchSize, seconds, waited / 1000) } })
      nanReadings = Number.isFinite(values['train/loss']) ? 0 : nanReadings + 1
      if (nanReadings >= NAN_READINGS) throw diverged(step)
      restartWindow()
    } else {
      result.dispose()
    }
    if (step % config.eval.every === 0 || step === steps) {
      const isBest = await report(await training.evaluate(step))
      if (isBest) await save(true)
      restartWindow()
    }
    if (step % checkpointEvery === 0 && savedAt !== step) {
      await save(false)
      restartWindow()
    }
    // Signals and the heartbeat are macrotasks: without this turn a step that never waits would starve them.
    await new Promise((resolve) => setImmediate(resolve))
  }
  if (savedAt !== step) await save(false)
  return { step, ended: step >= steps ? 'finished' : 'stopped', best }

  function restartWindow() {
    windowStart = now()
    windowSteps = 0
    waited = 0
  }

  async function report(evaluation: EvalFinished): Promise<boolean> {
    emit(evaluation)
    emit({ type: 'metric', step: evaluation.step, values: evalMetrics(evaluation) })
    const value = evalMetrics(evaluation)[config.eval.metric]
    if (value === undefined || Number.isNaN(value)) return false
    if (best !== null && value <= best.value) return false
    best = { step: evaluation.step, value }
    return evaluation.step > 0
  }

  async function save(isBest: boolean) {
    await training.checkpoint(step, best, isBest)
    savedAt = step
  }
}

/** `eval/voc/mIoU` and friends. */
function evalMetrics(evaluation: EvalFinished): MetricValues {
  return Object.fromEntries(
    Object.entries(evaluation.values).map(([name, value]) => [`eval/${evaluation.dataset}/${name}`, value]),
  )
}

const speed = (images: number, seconds: number, waited: number): MetricValues => ({
  'perf/imagesPerSecond': images / seconds,
  'perf/dataWait': waited / seconds,
})

const diverged = (step: number) =>
  new UserError(`the loss is not a number any more (step ${step})`, {
    hint: 'lower train.learningRate, raise train.warmup, or resume from an earlier checkpoint with another seed',
    exitCode: 1,
  })
