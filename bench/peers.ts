import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { operationsOf } from '../lib/bench/roofline.ts'
import { type Size, sizeNamed } from '../lib/bench/sizes.ts'
import type { Kind } from '../lib/bench/steps.ts'
import { batchTokens, type TextKind } from '../lib/bench/texts.ts'
import { type Contender, type Measured, takeTurns, workerFor } from '../lib/bench/turns.ts'
import type { Job } from '../lib/bench/worker.ts'
import { median } from '../lib/core/statistics.ts'

/**
 * gvx against PyTorch on this machine, taking turns: `npm run --silent bench:peers -- [--json] [--size
 * scenes,tiny] [--kind train,eval] [--threads 1,2] [--rounds 7] [--isa ''] [--texts long] [--padded] [--no-compile] [--python /usr/bin/python3,...]`.
 * Of several peers (Pythons, BLAS settings, eager and compiled) the row of a size names the fastest. `--isa avx2`, the
 * default, adds a row in which gvx may not use AVX-512, against the same peers. Texts are captions and prompts as they are;
 * `long` ones leave gvx no padding and no common beginnings to save. The peers pad them to the longest of the batch, or, `--padded`, to
 * the context, as the reference does. Everything takes about `--minutes`, of
 * which each row has its share: on a slow machine there are fewer rounds, but three. `--compile-seconds` is what
 * torch.compile may take for a row; beyond that its row is left out.
 */
const { values } = parseArgs({
  allowNegative: true,
  options: {
    json: { type: 'boolean', default: false },
    size: { type: 'string', default: 'scenes,tiny,vit-s' },
    kind: { type: 'string', default: 'train,eval' },
    threads: { type: 'string', default: cpus().length > 1 ? '1,2' : '1' },
    rounds: { type: 'string', default: '7' },
    warmups: { type: 'string', default: '' },
    minutes: { type: 'string', default: '16' },
    isa: { type: 'string', default: 'avx2' },
    texts: { type: 'string', default: 'captions' },
    padded: { type: 'boolean', default: false },
    python: { type: 'string', default: process.env.GVX_PYTHON ?? '/usr/bin/python3' },
    compile: { type: 'boolean', default: true },
    'compile-seconds': { type: 'string', default: '150' },
  },
})

/** The object that `--json` prints has the `rows`. Fields beyond the documented ones may be added. */
type Row = {
  kind: Kind
  size: string
  backend: string
  threads: number
  gvxMs: number
  peer: string
  peerMs: number
  ratio: number
  gvxPeakBytes: number
  peerPeakBytes: number
  batch: number
  /** 1e9 operations of matrix products a second, and their share of the FMA peak measured between the steps. */
  gvxGigaflops: number | null
  gvxShareOfPeak: number | null
  /** The same for the fastest step: on a shared machine the one that was disturbed least. */
  gvxBestMs: number
  gvxBestShareOfPeak: number | null
  peerBestMs: number
  /** Processor time of all threads, which other work on the machine disturbs less; of the peers the least. */
  gvxCpuMs: number
  peerCpuMs: number
  cpuRatio: number
  /** Operations a second of processor time, as a share of the FMA peak of a core. */
  gvxCpuShareOfPeak: number | null
  /** Every peer that ran, and what it took. */
  peers: { name: string; ms: number; cpuMs: number; peakBytes: number }[]
  /** Load average of the machine when the row was done. */
  load: number
}

if (!['captions', 'long'].includes(values.texts)) throw new Error(`--texts ${values.texts}: captions or long`)
// what is measured is what is installed: compiled, without the loader for TypeScript and its memory
const build = spawnSync('npm', ['run', '--silent', 'build'], { stdio: ['ignore', 2, 2] })
if (build.status !== 0) throw new Error('npm run build failed')

type Task = { size: Size; job: Job }
const tasks: Task[] = values.size.split(',').flatMap((name) =>
  (values.kind.split(',') as Kind[]).flatMap((kind) =>
    values.threads
      .split(',')
      .map(Number)
      .flatMap((threads) => {
        const size = sizeNamed(name)
        // a batch of 8 takes eight times as long as one image: evaluation is measured with both
        const batches = kind === 'train' ? [size.batch] : [1, 8]
        return batches.map((batch) => ({
          size,
          job: {
            kind,
            size: size.name,
            backend: 'native',
            threads,
            batch,
            tokens: batchTokens(size, kind, batch, values.texts as TextKind),
            profiledSteps: 1,
          } as Job,
        }))
      }),
  ),
)

/**
 * Of each size and kind: steps before those that count, and the seconds of a step of all contenders on two cores of a Zen 4. JavaScript is compiled
 * while it runs: a training step is at its speed after some dozens, an evaluation of a millisecond after hundreds. Of the paper's model 99
 * of 100 parts are kernels.
 */
const COSTS = {
  'scenes train': { warmups: 60, step: 0.7 },
  'tiny train': { warmups: 30, step: 2 },
  'vit-s train': { warmups: 3, step: 24 },
  'scenes eval': { warmups: 200, step: 0.02 },
  'tiny eval': { warmups: 200, step: 0.1 },
  'vit-s eval': { warmups: 3, step: 3 },
}
const costOf = ({ size, job }: Task) => COSTS[`${size.name} ${job.kind}` as keyof typeof COSTS]
const START = 25 // starting five processes, and compiling
/** Seconds of a row, by which the rows share the time. */
const expected = (task: Task): number => {
  const { warmups, step } = costOf(task)
  return START + (warmups * step + 5 * Math.max(step, 1.5)) * (task.job.threads > 1 ? 0.6 : 1)
}

const rows: Row[] = []
const began = performance.now()
const total = tasks.reduce((sum, task) => sum + expected(task), 0)
let done = 0
for (const [i, task] of tasks.entries()) {
  const seconds = (performance.now() - began) / 1e3
  const left = done === 0 ? Number(values.minutes) * 60 : (seconds / done) * (total - done)
  const { kind, threads } = task.job
  process.stderr.write(
    `[${i + 1}/${tasks.length}] ${kind} ${labelOf(task)}, ${threads} thread${threads === 1 ? '' : 's'}; about ${Math.ceil(left / 60)} min left\n`,
  )
  const share = (Number(values.minutes) * 60 * expected(task)) / total
  rows.push(...(await compare(task, Math.max(2, share - START))))
  done += expected(task)
}
if (values.json) process.stdout.write(`${JSON.stringify({ rows }, null, 2)}\n`)
else console.table(rows.map(readable))

function labelOf({ size, job }: Task): string {
  return job.kind === 'train' ? size.name : `${size.name}, batch ${job.batch}`
}

async function compare(task: Task, stepSeconds: number): Promise<Row[]> {
  const { size, job } = task
  const { kind, batch, threads } = job
  const label = labelOf(task)
  const gvx = ['', ...(values.isa ? [values.isa] : [])].map(
    (isa): Contender => ({
      name: isa ? `gvx ${isa}` : 'gvx',
      ...workerFor(job, true),
      env: isa ? { GVX_ISA: isa } : {},
    }),
  )
  const measured = await takeTurns(
    [...gvx, ...peers(size, job)],
    Number(values.rounds),
    Number(values.warmups || costOf(task).warmups),
    (text) => process.stderr.write(`  ${text}\n`),
    { startSeconds: Number(values['compile-seconds']), stepSeconds },
  )
  const ours = measured.filter(({ name }) => name.startsWith('gvx'))
  const theirs = measured.filter((one) => !ours.includes(one)).sort((a, b) => median(a.ms) - median(b.ms))
  for (const m of measured)
    process.stderr.write(`  ${m.name}: ${median(m.ms).toFixed(1)} ms (processor ${median(m.cpuMs).toFixed(1)})\n`)
  return ours.map((one) => rowOf(one, theirs, { kind, size: label, threads, batch }))
}

type Subject = Pick<Row, 'kind' | 'size' | 'threads' | 'batch'>

function rowOf({ device, ms, cpuMs, peakBytes, cost }: Measured, theirs: Measured[], subject: Subject): Row {
  const best = theirs[0] as Measured | undefined
  const [gvxMs, peerMs] = [median(ms), best ? median(best.ms) : Number.NaN]
  const [gvxCpuMs, peerCpuMs] = [median(cpuMs), best ? Math.min(...theirs.map((one) => median(one.cpuMs))) : Number.NaN]
  const operations = cost && operationsOf(cost)
  const shareOf = (time: number) => operations && cost && operations / (time * 1e-3) / (cost.fmaPeak * subject.threads)
  return {
    kind: subject.kind,
    size: subject.size,
    backend: `native ${device}`,
    threads: subject.threads,
    gvxMs,
    peer: best ? `${best.device}, ${best.name}` : 'none',
    peerMs,
    ratio: gvxMs / peerMs,
    gvxPeakBytes: peakBytes,
    peerPeakBytes: best?.peakBytes ?? Number.NaN,
    batch: subject.batch,
    gvxGigaflops: operations && operations / gvxMs / 1e6,
    gvxShareOfPeak: shareOf(gvxMs),
    gvxBestMs: Math.min(...ms),
    gvxBestShareOfPeak: shareOf(Math.min(...ms)),
    peerBestMs: best ? Math.min(...best.ms) : Number.NaN,
    gvxCpuMs,
    peerCpuMs,
    cpuRatio: gvxCpuMs / peerCpuMs,
    gvxCpuShareOfPeak: operations && cost && operations / (gvxCpuMs * 1e-3) / cost.fmaPeak,
    peers: theirs.map(({ name, device, ms, cpuMs, peakBytes }) => ({
      name: `${device}, ${name}`,
      ms: median(ms),
      cpuMs: median(cpuMs),
      peakBytes,
    })),
    load: loadavg()[0],
  }
}

/** Every Python that has PyTorch: with its own choice of kernels, with OpenBLAS for this processor, and compiled. */
function peers({ config }: Size, { kind, batch, threads, tokens }: Job): Contender[] {
  // OpenBLAS takes this processor for an older one than it is; PyTorch's own wheels do not ask it
  const env = {
    OMP_NUM_THREADS: String(threads),
    OPENBLAS_NUM_THREADS: String(threads),
    OPENBLAS_CORETYPE: 'SkylakeX',
  }
  const peer = (python: string, compile: boolean) => ({
    name: `${python}, ${compile ? 'torch.compile' : 'eager'}`,
    command: [python, 'bench/peers/torch_step.py'],
    job: { kind, batch, threads, tokens, padded: values.padded, model: config.model, compile },
    env,
  })
  return values.python
    .split(',')
    .filter((python) => existsSync(python))
    .flatMap((python) => [peer(python, false), ...(values.compile ? [peer(python, true)] : [])])
}

function readable(row: Row) {
  const ms = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  return {
    kind: row.kind,
    size: row.size,
    backend: row.backend,
    gvx: ms(row.gvxMs),
    'of peak': row.gvxShareOfPeak === null ? '' : `${(row.gvxShareOfPeak * 100).toFixed(0)} %`,
    peer: ms(row.peerMs),
    'best peer': row.peer.replace(/PyTorch (\S+).*, (\S+)$/, '$1 $2'),
    ratio: row.ratio.toFixed(2),
    'cpu ratio': row.cpuRatio.toFixed(2),
    'gvx memory': mb(row.gvxPeakBytes),
    'peer memory': mb(row.peerPeakBytes),
  }
}
