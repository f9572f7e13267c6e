import { availableParallelism, cpus, loadavg } from 'node:os'
import { operationsOf, type Profile, rooflineOf } from '../bench/roofline.ts'
import { SIZES, sizeNamed } from '../bench/sizes.ts'
import type { Kind } from '../bench/steps.ts'
import { batchTokens } from '../bench/texts.ts'
import { type Measured, takeTurns, workerFor } from '../bench/turns.ts'
import { EXIT, UserError } from '../core/errors.ts'
import { median } from '../core/statistics.ts'
import type { BackendName } from '../tensor/open.ts'
import { type Column, defineCommand, type Out } from './command.ts'

type Args = {
  size: string
  kind: Kind
  backend?: string[]
  batch?: number
  threads: number
  rounds: number
  profile: boolean
}

type Row = {
  backend: string
  device: string
  threads: number
  milliseconds: number
  fastestMilliseconds: number
  imagesPerSecond: number
  /** Time of the fastest backend over this one's: 1 for the fastest. */
  relativeSpeed: number
  peakBytes: number
  /** 1e9 operations of matrix products a second, and their share of what the cores can do; null where nobody counts. */
  gigaflops: number | null
  shareOfPeak: number | null
}

type Bench = {
  size: string
  work: Kind
  batch: number
  rounds: number
  machine: { cpu: string; cores: number; load: number }
  rows: Row[]
  /** Time of wasm over that of native in the same run; null where one of them is missing. gvx wants at least 3. */
  nativeOverWasm: number | null
  leftOut: string[]
  profile: Profile | null
}

const BACKENDS: readonly BackendName[] = ['node-gpu', 'native', 'wasm', 'cpu']
/** The cpu backend takes minutes for a step, so it is measured only when it is named. */
const USUAL: readonly BackendName[] = ['node-gpu', 'native', 'wasm']

/** One training or evaluation step on the backends of this machine, a process each, taking turns. */
export default defineCommand<Args, Bench>({
  kind: 'bench',
  builder: (y) =>
    y
      .option('size', {
        choices: SIZES,
        default: 'scenes' as string,
        describe: 'scenes.yaml, a tiny model, or the paper’s (too large for wasm)',
      })
      .option('kind', { choices: ['train', 'eval'] as const, default: 'train' as Kind, describe: 'What a step does' })
      .option('backend', {
        type: 'string',
        array: true,
        choices: BACKENDS,
        describe: 'Backends to measure (all but cpu)',
      })
      .option('batch', { type: 'number', describe: 'Images of a step' })
      .option('threads', { type: 'number', default: 0, describe: 'Of the native backend; 0: one a core' })
      .option('rounds', { type: 'number', default: 5, describe: 'Steps that count, of each backend' })
      .option('profile', { type: 'boolean', default: false, describe: 'Where the time of a native step goes' }),
  async run(args, { say, setExit }) {
    const { rounds, threads, kind } = args
    const whole = (name: 'batch' | 'threads' | 'rounds', value: number, least: number) => {
      if (!Number.isSafeInteger(value) || value < least)
        throw new UserError(`--${name} must be a whole number of at least ${least}.`)
    }
    const size = sizeNamed(args.size)
    const batch = args.batch ?? (kind === 'train' ? size.batch : 1)
    whole('batch', batch, kind === 'train' ? 2 : 1)
    whole('threads', threads, 0)
    whole('rounds', rounds, 1)
    const leftOut: string[] = []
    const tokens = batchTokens(size, kind, batch, 'captions')
    const contenders = (args.backend ?? USUAL).map((backend) => ({
      name: backend,
      ...workerFor({
        kind,
        size: size.name,
        backend: backend as BackendName,
        threads,
        batch,
        tokens,
        profiledSteps: args.profile ? 5 : 1,
      }),
    }))
    const warmups = kind === 'train' ? 3 : 30
    const measured = await takeTurns(contenders, rounds, warmups, (text) => leftOut.push(text))
    if (measured.length === 0) setExit(EXIT.environment)
    for (const text of leftOut) say(text)
    const [{ model }, cores] = [cpus()[0] ?? { model: 'unknown' }, availableParallelism()]
    const native = measured.find(({ cost }) => cost)
    return {
      size: size.name,
      work: kind,
      batch,
      rounds,
      machine: { cpu: model.trim(), cores, load: loadavg()[0] },
      rows: rowsOf(measured, batch),
      nativeOverWasm: nativeOverWasm(measured),
      leftOut,
      profile: args.profile && native ? rooflineOf(native.cost!, threadsOf(native)) : null,
    }
  },
  print(bench, out) {
    const { size, work, batch, machine, rows, profile } = bench
    const what = work === 'train' ? `a training step of ${batch} images` : `the encoding of ${batch} images`
    out.line(`${size}: ${what}; ${machine.cpu}, ${machine.cores} cores, load ${machine.load.toFixed(1)}`)
    out.table({
      columns: COLUMNS,
      rows: rows.map((row) => [
        row.backend,
        row.device,
        row.milliseconds,
        row.fastestMilliseconds,
        row.imagesPerSecond,
        row.relativeSpeed,
        row.peakBytes,
        row.gigaflops,
        row.shareOfPeak,
      ]),
    })
    if (bench.nativeOverWasm !== null)
      out.line(`native is ${bench.nativeOverWasm.toFixed(1)} times as fast as wasm (the goal: at least 3)`)
    if (profile) printProfile(profile, out)
  },
})

function nativeOverWasm(measured: Measured[]): number | null {
  const [native, wasm] = ['native', 'wasm'].map((name) => measured.find((one) => one.name === name))
  return native && wasm ? median(wasm.ms) / median(native.ms) : null
}

const threadsOf = ({ device }: Measured): number => Number(/(\d+) threads?\)/.exec(device)?.[1] ?? 1)

function rowsOf(measured: Measured[], batch: number): Row[] {
  const fastest = Math.min(...measured.map(({ ms }) => median(ms)))
  return measured.map((one) => {
    const { name, device, ms, peakBytes, cost } = one
    const [milliseconds, threads] = [median(ms), threadsOf(one)]
    const operations = cost && operationsOf(cost)
    const perSecond = operations === null ? null : (operations / milliseconds) * 1e3
    return {
      backend: name,
      device,
      threads,
      milliseconds,
      fastestMilliseconds: Math.min(...ms),
      imagesPerSecond: (batch * 1e3) / milliseconds,
      relativeSpeed: fastest / milliseconds,
      peakBytes,
      gigaflops: perSecond === null ? null : perSecond / 1e9,
      shareOfPeak: perSecond === null || !cost ? null : perSecond / (cost.fmaPeak * threads),
    }
  })
}

const number = (digits: number) => (value: unknown) => (typeof value === 'number' ? value.toFixed(digits) : '')
const percent = (value: unknown) => (typeof value === 'number' ? `${Math.round(value * 100)} %` : '')
const right = (name: string, format: Column['format'], weight = 1): Column => ({ name, align: 'right', format, weight })
const milliseconds = (value: unknown) => number(Number(value) < 100 ? 2 : 0)(value)

const COLUMNS: Column[] = [
  { name: 'backend', weight: 3 },
  { name: 'device' },
  right('ms', milliseconds, 3),
  right('fastest', milliseconds),
  right('images/s', number(1), 2),
  right('speed', number(2), 2),
  right('peak MB', (value) => number(0)(Number(value) / 1e6), 2),
  right('GFLOP/s', number(0)),
  right('of peak', percent),
]

function printProfile(profile: Profile, out: Out): void {
  const { kernels, threads, aroundMilliseconds, javascriptMilliseconds, peakGigaflops, peakGigabytes } = profile
  out.line()
  out.table({
    title: `A native step of ${profile.milliseconds.toFixed(1)} ms on ${threads} thread${threads === 1 ? '' : 's'}`,
    columns: [
      { name: 'kernel', weight: 3 },
      right('calls', number(0)),
      right('ms', number(2), 3),
      right('share', percent, 3),
      right('GFLOP/s', number(1), 2),
      right('GB/s', number(1), 2),
      { name: 'bound by' },
      right('of the bound', percent, 2),
    ],
    rows: [
      ...kernels.map((k) => [
        k.kernel,
        k.calls,
        k.milliseconds,
        k.share,
        k.gigaflops,
        k.gigabytes,
        k.bound,
        k.shareOfBound,
      ]),
      ['copies, waiting', null, aroundMilliseconds, aroundMilliseconds / profile.milliseconds, null, null, null, null],
      [
        'JavaScript',
        null,
        javascriptMilliseconds,
        javascriptMilliseconds / profile.milliseconds,
        null,
        null,
        null,
        null,
      ],
    ],
  })
  const [arithmetic, memory] = [peakGigaflops, peakGigabytes].map((peak) => peak.toFixed(0))
  out.line(out.dim(`A core multiplies and adds ${arithmetic} GFLOP/s at best; memory moves ${memory} GB/s.`))
  out.line(out.dim('More than all of what memory allows comes out of the caches.'))
}
