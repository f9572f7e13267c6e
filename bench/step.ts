import { parseArgs } from 'node:util'
import { sizeNamed } from '../lib/bench/sizes.ts'
import type { Kind } from '../lib/bench/steps.ts'
import { batchTokens } from '../lib/bench/texts.ts'
import { takeTurns, workerFor } from '../lib/bench/turns.ts'
import type { Job } from '../lib/bench/worker.ts'
import { median } from '../lib/core/statistics.ts'

/**
 * Whole training steps on the backends of this machine, taking turns: `npx tsx bench/step.ts [--size scenes]
 * [--backend native,wasm] [--threads 2] [--rounds 5] [--kind train] [--json]`. vit-s does not fit the 4 GB of wasm.
 * `gvx bench` does the same with the compiled package, and says more.
 */
const { values } = parseArgs({
  options: {
    size: { type: 'string', default: 'scenes' },
    kind: { type: 'string', default: 'train' },
    backend: { type: 'string', default: 'native,wasm' },
    threads: { type: 'string', default: '0' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
})

const size = sizeNamed(values.size)
const tokens = batchTokens(size, values.kind as Kind, size.batch, 'captions')
const contenders = values.backend.split(',').map((backend) => {
  const job = { kind: values.kind, size: size.name, backend, batch: size.batch, tokens } as Job
  return { name: backend, ...workerFor({ ...job, threads: Number(values.threads), profiledSteps: 0 }) }
})
const measured = await takeTurns(contenders, Number(values.rounds), 3, (text) => process.stderr.write(`${text}\n`))
const rows = measured.map(({ name, device, ms, peakBytes }) => ({
  backend: name,
  device,
  ms: Math.round(median(ms) * 10) / 10,
  imagesPerSecond: Math.round((size.batch * 1000) / median(ms)),
  peakMegabytes: Math.round(peakBytes / 1e6),
}))
if (values.json) process.stdout.write(`${JSON.stringify({ size: size.name, kind: values.kind, rows }, null, 2)}\n`)
else console.table(rows)
