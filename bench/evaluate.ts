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
 * --root VOCdevkit [--images 20] [--rounds 3] [--backend native] [--threads 2] [--json]`. The encoder alone, on the
 * same windows ready in memory, and the whole evaluation take turns.
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

type Cost = { seconds: number; processorSeconds: number; megabytes: number }

const { config } = loadConfig(null, { sets: [`eval.voc.root=${values.root}`, 'eval.voc.split=val'] })
const { model } = config
await openBackend({ backend: values.backend as 'native', threads: Number(values.threads) })
const params = initParams(model, 0)
const set = await openSegmentationSet({ ...config.eval.voc, home: '.', scenes: config.data.scenes })
const limit = Number(values.images)
const chosen = spread(set.ids.length, limit)

async function measure(work: () => Promise<unknown>): Promise<Cost> {
  const [started, used] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(used)
  return {
    seconds: (performance.now() - started) / 1000,
    processorSeconds: (user + system) / 1e6,
    megabytes: process.memoryUsage.rss() / 1e6,
  }
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
const windows = batches.reduce((sum, batch) => sum + batch.length, 0)
const encoder = async () => {
  for (const batch of batches) await encodeBatch(params, model, batch)
}
const whole = (of: SegmentationSet = set) => evaluateSegmentation({ params, config, set: of, purpose: 'final', limit })

await encodeBatch(params, model, batches[0]) // warm
const rounds: { encoder: Cost; whole: Cost }[] = []
for (let round = 0; round < Number(values.rounds); round++)
  rounds.push({ encoder: await measure(encoder), whole: await measure(whole) })

const least = (of: 'encoder' | 'whole', cost: keyof Cost) => Math.min(...rounds.map((round) => round[of][cost]))
const result = {
  images: chosen.length,
  windows,
  encoderSeconds: least('encoder', 'seconds'),
  wholeSeconds: least('whole', 'seconds'),
  onTop: least('whole', 'seconds') / least('encoder', 'seconds') - 1,
  encoderProcessorSeconds: least('encoder', 'processorSeconds'),
  wholeProcessorSeconds: least('whole', 'processorSeconds'),
  processorOnTop: least('whole', 'processorSeconds') / least('encoder', 'processorSeconds') - 1,
  megabytesByRound: rounds.map((round) => Math.round(round.whole.megabytes)),
}
if (values.json) process.stdout.write(`${JSON.stringify({ ...result, rounds }, null, 2)}\n`)
else console.table(result)
