import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { type Size, sizeNamed } from './sizes.ts'
import { type Contender, type Measured, median, takeTurns } from './turns.ts'
import type { Job } from './worker.ts'

/**
 * gvx against PyTorch on this machine, taking turns step by step: `npm run bench:peers -- [--json] [--size scenes,tiny]
 * [--rounds 7] [--threads 2] [--kind train,eval] [--isa avx2] [--python /usr/bin/python3,…]`.
 * Of several peers (Pythons, BLAS settings, eager and compiled) the row of a size names the fastest.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    size: { type: 'string', default: 'scenes,tiny,vit-s' },
    kind: { type: 'string', default: 'train,eval' },
    threads: { type: 'string', default: String(Math.min(2, cpus().length)) },
    rounds: { type: 'string', default: '7' },
    // JavaScript is compiled while it runs: an evaluation of a millisecond is at its speed after some dozens of them
    warmups: { type: 'string', default: '' },
    isa: { type: 'string', default: '' },
    python: { type: 'string', default: '/usr/bin/python3' },
    compile: { type: 'boolean', default: false },
  },
})

export type Row = {
  kind: 'train' | 'eval'
  size: string
  backend: string
  threads: number
  gvxMs: number
  peer: string
  peerMs: number
  ratio: number
  gvxPeakBytes: number
  peerPeakBytes: number
}

const threads = Number(values.threads)
const rows: Row[] = []
for (const name of values.size.split(','))
  for (const kind of values.kind.split(',') as Row['kind'][]) {
    const size = sizeNamed(name)
    // a batch of 8 takes eight times as long as one image: the small sizes are evaluated one by one as well
    const batches = kind === 'train' ? [size.batch] : [1, 8]
    for (const batch of batches) {
      const row = await compare(size, kind, batch)
      if (row) rows.push(row)
    }
  }
if (values.json) process.stdout.write(`${JSON.stringify({ rows }, null, 2)}\n`)
else console.table(rows.map(readable))

async function compare(size: Size, kind: Row['kind'], batch: number): Promise<Row | null> {
  const label = kind === 'train' ? size.name : `${size.name}, batch ${batch}`
  const job: Job = { kind, size: size.name, backend: 'native', threads, batch }
  const gvx: Contender = {
    name: 'gvx',
    command: [process.execPath, '--import', 'tsx', 'bench/worker.ts', JSON.stringify(job)],
    env: values.isa ? { GVX_ISA: values.isa } : {},
  }
  const measured = await takeTurns(
    [gvx, ...peers(size, job)],
    Number(values.rounds),
    Number(values.warmups || (kind === 'eval' && size.name !== 'vit-s' ? 60 : 3)),
    (text) => process.stderr.write(`${label}: ${text}\n`),
  )
  const ours = measured.find(({ name }) => name === 'gvx')
  const theirs = measured.filter(({ name }) => name !== 'gvx').sort((a, b) => median(a.ms) - median(b.ms))
  if (!ours) return null
  const best = theirs[0] as Measured | undefined
  const [gvxMs, peerMs] = [median(ours.ms), best ? median(best.ms) : Number.NaN]
  process.stderr.write(
    `${kind} ${label}: ${[ours, ...theirs].map((m) => `${m.name} ${median(m.ms).toFixed(1)} ms`).join(', ')}\n`,
  )
  return {
    kind,
    size: label,
    backend: `native ${ours.device}`,
    threads,
    gvxMs,
    peer: best ? `${best.device}, ${best.name}` : 'none',
    peerMs,
    ratio: gvxMs / peerMs,
    gvxPeakBytes: ours.peakBytes,
    peerPeakBytes: best?.peakBytes ?? Number.NaN,
  }
}

/** Every Python that has PyTorch, with the OpenBLAS kernels this processor can run rather than those it guesses. */
function peers({ config, textLength }: Size, job: Job): Contender[] {
  const command = (python: string, compile: boolean) => [
    python,
    'bench/peers/torch_step.py',
    JSON.stringify({ ...job, model: config.model, textLength, nouns: config.multiLabel.nouns, compile }),
  ]
  const env = { OMP_NUM_THREADS: String(job.threads), OPENBLAS_NUM_THREADS: String(job.threads) }
  return values.python
    .split(',')
    .filter((python) => existsSync(python))
    .flatMap((python) => [
      {
        name: `${python}, OpenBLAS SkylakeX`,
        command: command(python, false),
        env: { ...env, OPENBLAS_CORETYPE: values.isa === 'avx2' ? 'Haswell' : 'SkylakeX' },
      },
      ...(values.compile ? [{ name: `${python}, torch.compile`, command: command(python, true), env }] : []),
    ])
}

function readable(row: Row) {
  const ms = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  return {
    kind: row.kind,
    size: row.size,
    gvx: ms(row.gvxMs),
    peer: ms(row.peerMs),
    ratio: row.ratio.toFixed(2),
    'gvx memory': mb(row.gvxPeakBytes),
    'peer memory': mb(row.peerPeakBytes),
  }
}
