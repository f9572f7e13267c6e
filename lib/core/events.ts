/**
 * The events of a run: the only thing a worker writes and the only thing everybody else reads.
 * One JSON object a line. Changes are additive: a reader ignores what it does not know, old logs replay for ever.
 */

/** Where a number came from is in its name: `train/…`, `optim/…`, `perf/…`, `eval/…`. */
export type MetricValues = Record<string, number>

/** How one evaluation was made: two numbers may be compared only when their protocols are equal. */
export type Protocol = Record<string, string | number | boolean | null>

export type RunStarted = {
  type: 'run.started'
  attempt: number
  /** 0, or the step of the checkpoint this attempt continues from. Metrics beyond it in earlier attempts are superseded. */
  resumedFrom: number
  totalSteps: number
  host: string
  pid: number
  /** Seconds since the epoch at which the process started by the kernel's account, so that a recycled pid is not mistaken for it; null where the system does not say. */
  pidStarted: number | null
  backend: string
  device: string
  threads: number
  git: { commit: string | null; dirty: boolean }
  versions: Record<string, string>
}
export type Metric = { type: 'metric'; step: number; values: MetricValues }
export type EvalFinished = {
  type: 'eval.finished'
  step: number
  /** `voc`, `imagenet`, …: metrics appear as `eval/<dataset>/<name>`. */
  dataset: string
  /** `during` training on a fixed subset, or the `final` one that the leaderboard reads. */
  purpose: 'during' | 'final'
  protocol: Protocol
  images: number
  seconds: number
  values: MetricValues
  classNames: string[]
  /** IoU of each class, NaN where the class is in neither the masks nor the predictions. */
  iou: number[]
  /** What any reader of the number wants beside it: chance, majority, untrained. */
  baselines: Record<string, number>
  /** File in the run folder with the per-image confusion counts, or null. */
  counts: string | null
}
export type CheckpointSaved = { type: 'checkpoint.saved'; step: number; file: string; bytes: number; best: boolean }
export type SampleSegmented = { type: 'sample.segmented'; step: number; sample: string; file: string }
export type Warning = { type: 'warning'; step: number; code: string; message: string }
export type Heartbeat = { type: 'run.heartbeat'; step: number }
export type RunFinished = {
  type: 'run.finished'
  step: number
  /** `stopped`: asked to stop and resumable; `preempted`: the same, asked by the machine's owner. */
  status: 'finished' | 'stopped' | 'failed' | 'preempted'
  /** Why it failed, or why a sweep stopped it before its end. */
  error: string | null
}

export type RunEvent =
  | RunStarted
  | Metric
  | EvalFinished
  | CheckpointSaved
  | SampleSegmented
  | Warning
  | Heartbeat
  | RunFinished

/** An event as it stands in the log: `t` is milliseconds since the epoch at the worker. */
export type LoggedEvent = RunEvent & { t: number }

/** What training code calls; the worker appends, a test collects. */
export type Emit = (event: RunEvent) => void

const EVENT_TYPES = new Set<RunEvent['type']>([
  'run.started',
  'metric',
  'eval.finished',
  'checkpoint.saved',
  'sample.segmented',
  'warning',
  'run.heartbeat',
  'run.finished',
])

/** JSON has no NaN and SQLite makes it NULL: numbers that are not finite travel as these words. */
const NON_FINITE: Record<string, number> = { NaN: Number.NaN, Infinity: Infinity, '-Infinity': -Infinity }

/** One line of the log, without its newline. */
export function encodeEvent(event: LoggedEvent): string {
  return JSON.stringify(event, (_key, value) =>
    typeof value === 'number' && !Number.isFinite(value) ? { $n: String(value) } : value,
  )
}

const reviveNumber = (_key: string, value: unknown): unknown =>
  value !== null && typeof value === 'object' && '$n' in value && typeof value.$n === 'string'
    ? NON_FINITE[value.$n]
    : value

/**
 * The event of a line, or null for a type this version does not know.
 * Throws on a line that is not JSON (a torn line is the caller's business: it has no newline yet).
 */
export function decodeEvent(line: string): LoggedEvent | null {
  // Calling back for every value makes parsing five times slower: only where there is something to replace.
  const event = (line.includes('{"$n":') ? JSON.parse(line, reviveNumber) : JSON.parse(line)) as LoggedEvent
  return EVENT_TYPES.has(event.type) ? event : null
}
