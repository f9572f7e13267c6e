import type { LoggedEvent } from '../../lib/core/events.ts'
import { randomStream } from '../../lib/core/rng.ts'
import type { PlannedPoint, Update } from '../../lib/core/updates.ts'

/** A made-up session that looks like a real one, the same at every call: a sweep of two labels and two seeds. */

/** Noon of a day, UTC: tests run with TZ=UTC. */
export const NOON = Date.UTC(2026, 0, 15, 12)

export const POINTS: PlannedPoint[] = [
  { stages: 1, seed: 0, action: 'skip', reason: 'finished as run1', run: 'run1' },
  { stages: 1, seed: 1, action: 'new', reason: 'not run yet', run: null },
  { stages: 2, seed: 0, action: 'resume', reason: 'stopped at step 200', run: 'run2' },
  { stages: 2, seed: 1, action: 'new', reason: 'not run yet', run: null },
].map(({ stages, seed, action, reason, run }) => {
  const label = stages === 1 ? 'one-stage' : 'two-stage'
  return {
    key: `${label}/seed=${seed}`,
    label,
    seed,
    overrides: { 'model.stages': stages },
    configHash: `abc${stages}`,
    totalSteps: 1000,
    action: action as PlannedPoint['action'],
    reason,
    run,
  }
})

const STARTED = {
  type: 'run.started',
  host: 'bench',
  pidStarted: null,
  backend: 'native',
  device: 'cpu',
  threads: 1,
  git: { commit: 'e1ccd65', dirty: false },
  versions: {},
} as const

/** Events of a run from `from` to `to` steps, ten steps apart, one second for ten steps. */
export function eventsOf(run: number, from: number, to: number, begin = NOON): LoggedEvent[] {
  const random = randomStream(run, 'events', from)
  const at = (step: number) => begin + (step - from) * 100
  const out: LoggedEvent[] = [
    { ...STARTED, t: begin, attempt: from > 0 ? 2 : 1, resumedFrom: from, totalSteps: 1000, pid: 4000 + run },
  ]
  for (let step = from + 10; step <= to; step += 10) {
    const contrastive = 1.2 + 3 * Math.exp(-step / 250) + 0.1 * random.normal()
    const multiLabel = 1.5 + 2 * Math.exp(-step / 200) + 0.1 * random.normal()
    out.push({
      type: 'metric',
      t: at(step),
      step,
      values: {
        'train/loss': contrastive + multiLabel,
        'train/contrastive': contrastive,
        'train/multiLabel': multiLabel,
        'optim/learningRate': step < 100 ? step * 1.6e-5 : 8e-4 * (1 + Math.cos((Math.PI * step) / 1000)),
        'optim/gradNorm': 0.8 + Math.abs(random.normal()),
        'perf/imagesPerSecond': 320 + 10 * random.normal(),
        'perf/dataWait': 0.002,
      },
    })
    if (step % 250 === 0) {
      const mIoU = 0.42 * (1 - Math.exp(-step / 400)) + 0.01 * run
      out.push(evaluation(step, at(step) + 1, mIoU, 'during'))
      out.push({ type: 'checkpoint.saved', t: at(step) + 2, step, file: 'x', bytes: 3.4e6, best: true })
    }
  }
  return out
}

export const evaluation = (step: number, t: number, mIoU: number, purpose: 'during' | 'final'): LoggedEvent => ({
  type: 'eval.finished',
  t,
  step,
  dataset: 'voc',
  purpose,
  protocol: {},
  images: purpose === 'final' ? 500 : 200,
  seconds: 4.2,
  values: { mIoU, aAcc: 2 * mIoU },
  classNames: ['star', 'ring'],
  iou: [mIoU, mIoU],
  baselines: { chance: 0.03, majority: 0.082, untrained: 0.041 },
  counts: null,
})

/** The sweep at a moment when one point is done, one has failed, one runs and one waits. */
export function sweepUpdates(): Update[] {
  const finished = eventsOf(1, 0, 1000, NOON - 300_000)
  return [
    {
      type: 'session',
      title: 'stages',
      question: 'One grouping stage or two?',
      file: 'stages.yaml',
      jobs: 2,
      points: POINTS,
    },
    { type: 'preparing', what: 'scenes', done: 100, total: 4000 },
    { type: 'preparing', what: 'scenes', done: 4000, total: 4000 },
    { type: 'run.events', run: 'run1', events: [...finished, evaluation(1000, NOON - 195_000, 0.431, 'final')] },
    { type: 'run.status', run: 'run1', status: 'finished', reason: null },
    { type: 'run.attached', key: 'two-stage/seed=0', run: 'run2', resumedFrom: 200 },
    { type: 'run.events', run: 'run2', events: eventsOf(2, 200, 420) },
    { type: 'run.status', run: 'run2', status: 'running', reason: null },
    { type: 'run.attached', key: 'one-stage/seed=1', run: 'run3', resumedFrom: 0 },
    {
      type: 'run.events',
      run: 'run3',
      events: [
        ...eventsOf(3, 0, 120),
        {
          type: 'warning',
          t: NOON + 12_100,
          step: 120,
          code: 'data.fault',
          message: 'shard 3: a JPEG \u001b[31mis cut short',
        },
        {
          type: 'run.finished',
          t: NOON + 12_200,
          step: 120,
          status: 'failed',
          error: 'the loss is not a number since step 118',
        },
      ],
    },
    { type: 'run.status', run: 'run3', status: 'failed', reason: 'the loss is not a number since step 118' },
    { type: 'message', level: 'info', text: 'two-stage/seed=1 waits for a free worker' },
  ]
}
