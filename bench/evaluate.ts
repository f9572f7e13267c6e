import { parseArgs } from 'node:util'
import { loadConfig } from '../lib/config/load.ts'
import { openSegmentationSet, type SegmentationSet } from '../lib/data/segmentation-set.ts'
import { batchSizeFor, encodeBatch, type Pixels } from '../lib/eval/encode.ts'
import { evaluateSegmentation, spread } from '../lib/eval/evaluate.ts'
import { prepareImage } from '../lib/eval/prepare.ts'
import { resolveOptions } from '../lib/eval/protocol.ts'
import { windowsOf } from '../lib/eval/segmentation.ts'
import type { Window } from '../lib/eval/windows.ts'
import { initParams } from '../lib/model/index.ts'
import { openBackend } from '../lib/tensor/index.ts'

/**
 * What the protocol costs on top of the encoder, at the paper's size with untrained weights: `npx tsx bench/evaluate.ts
 * --root VOCdevkit [--images 120] [--rounds 3] [--backend native] [--threads 2] [--json]`. The encoder alone, on the
 * same windows ready in memory, and the whole evaluation take turns. More images than there are: the set several times
 * over, as an evaluation of a large set whose memory must not grow.
 */
const { values } = parseArgs({
  options: {
    root: { type: 'string', default: 'VOCdevkit' },
    images: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    backend: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
  },
})

type Cost = { seconds: number; processorSeconds: number }
/** Resident memory when the first images, half of them, and all were done, and the most in between. */
type Memory = { start: number; middle: number; end: number; most: number }

const { config } = loadConfig(null, { sets: [`eval.voc.root=${values.root}`, 'eval.voc.split=val'] })
const { model } = config
await openBackend({ backend: values.backend as 'native', threads: Number(values.threads) })
const params = initParams(model, 0)
const set = await openSegmentationSet({ ...config.eval.voc, home: '.', scenes: config.data.scenes })
const asked = Number(values.images)
const chosen = spread(set.ids.length, asked)
const passes = Math.max(1, Math.round(asked / chosen.length))
const ids = Array.from({ length: passes }, (_, pass) => chosen.map((index) => `${set.ids[index]} ${pass}`)).flat()
const repeated: SegmentationSet = {
  ...set,
  ids,
  read: async (i) => ({ ...(await set.read(chosen[i % chosen.length])), id: ids[i] }),
}

async function measure(work: () => Promise<unknown>): Promise<Cost> {
  const [started, used] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(used)
  return { seconds: (performance.now() - started) / 1000, processorSeconds: (user + system) / 1e6 }
}

/** The windows of the chosen images, as batches of one size. */
async function windowsInMemory() {
  const options = resolveOptions(config, set.background)
  const bySize = new Map<string, { image: Pixels; window: Window }[]>()
  for (const index of chosen) {
    const image = prepareImage((await set.read(index)).image, options.shortSide)
    for (const window of windowsOf(image, options)) {
      const key = `${window.width}x${window.height}`
      bySize.set(key, [...(bySize.get(key) ?? []), { image, window }])
    }
  }
  return [...bySize.values()].flatMap((all) => {
    const size = batchSizeFor(model, all[0].window.width, all[0].window.height)
    return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size))
  })
}

const batches = await windowsInMemory()
const windows = passes * batches.reduce((sum, batch) => sum + batch.length, 0)
async function encoder() {
  for (let pass = 0; pass < passes; pass++) for (const batch of batches) await encodeBatch(params, model, batch)
}

let memory: Memory
function whole() {
  memory = { start: 0, middle: 0, end: 0, most: 0 }
  return evaluateSegmentation({
    params,
    config,
    set: repeated,
    purpose: 'final',
    limit: 0,
    onProgress(done, total) {
      const now = Math.round(process.memoryUsage.rss() / 1e6)
      memory.start ||= now
      if (done >= total / 2) memory.middle ||= now
      memory.end = now
      memory.most = Math.max(memory.most, now)
    },
  })
}

await encodeBatch(params, model, batches[0]) // warm
const rounds: { encoder: Cost; whole: Cost; megabytes: Memory }[] = []
for (let round = 0; round < Number(values.rounds); round++) {
  const first = round % 2 === 0 ? await measure(encoder) : null
  const all = await measure(whole)
  const cost = { encoder: first ?? (await measure(encoder)), whole: all, megabytes: memory! }
  rounds.push(cost)
  console.error(
    `round ${round + 1}: encoder ${cost.encoder.seconds.toFixed(1)} s (${cost.encoder.processorSeconds.toFixed(1)} s of processor), whole ${all.seconds.toFixed(1)} s (${all.processorSeconds.toFixed(1)} s), MB ${Object.values(cost.megabytes).join(' ')}`,
  )
}

const least = (of: 'encoder' | 'whole', cost: keyof Cost) => Math.min(...rounds.map((round) => round[of][cost]))
const result = {
  images: ids.length,
  windows,
  encoderSeconds: least('encoder', 'seconds'),
  wholeSeconds: least('whole', 'seconds'),
  imagesPerSecond: ids.length / least('whole', 'seconds'),
  onTop: least('whole', 'seconds') / least('encoder', 'seconds') - 1,
  encoderProcessorSeconds: least('encoder', 'processorSeconds'),
  wholeProcessorSeconds: least('whole', 'processorSeconds'),
  processorOnTop: least('whole', 'processorSeconds') / least('encoder', 'processorSeconds') - 1,
}
if (values.json) process.stdout.write(`${JSON.stringify({ ...result, rounds }, null, 2)}\n`)
else {
  console.table(result)
  console.table(
    rounds.map(({ megabytes }) => ({
      'MB at the start': megabytes.start,
      middle: megabytes.middle,
      end: megabytes.end,
      most: megabytes.most,
    })),
  )
}
