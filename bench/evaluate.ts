import { parseArgs } from 'node:util'
import { loadConfig } from '../lib/config/load.ts'
import { median } from '../lib/core/statistics.ts'
import { openSegmentationSet, type SegmentationSet } from '../lib/data/segmentation-set.ts'
import { batchSizeFor, encodeBatch, type Pixels } from '../lib/eval/encode.ts'
import { chunkSize, evaluateSegmentation, spread } from '../lib/eval/evaluate.ts'
import { prepareImage } from '../lib/eval/prepare.ts'
import { resolveOptions } from '../lib/eval/protocol.ts'
import { windowsOf } from '../lib/eval/segmentation.ts'
import type { Window } from '../lib/eval/windows.ts'
import { initParams } from '../lib/model/index.ts'
import { openBackend } from '../lib/tensor/index.ts'

/**
 * What the protocol costs on top of the encoder, at the paper's size with untrained weights: `npx tsx bench/evaluate.ts
 * --root VOCdevkit [--images 120] [--rounds 3] [--backend native] [--threads 2] [--json]`. One evaluation of all images
 * is held up between rounds, in which the encoder alone goes over the same images' windows, ready in memory; who begins
 * alternates. More images than there are: the set several times over, as a large set whose memory must not grow.
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
type Round = { images: number; encoder: Cost; whole: Cost; megabytes: number }

const { config } = loadConfig(null, { sets: [`eval.voc.root=${values.root}`, 'eval.voc.split=val'] })
const { model } = config
await openBackend({ backend: values.backend as 'native', threads: Number(values.threads) })
const params = initParams(model, 0)
const set = await openSegmentationSet({ ...config.eval.voc, home: '.', scenes: config.data.scenes })
const options = resolveOptions(config, set.background)
const total = Number(values.images)
const chosen = spread(set.ids.length, Math.min(total, set.ids.length))
const ids = Array.from({ length: total }, (_, i) => `${set.ids[chosen[i % chosen.length]]} ${i}`)
// a round ends where a chunk of the evaluation does
const chunk = chunkSize(options.shortSide)
const ofRound = chunk * Math.max(1, Math.round(total / Number(values.rounds) / chunk))

async function measure(work: () => Promise<unknown>): Promise<Cost> {
  const [started, used] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(used)
  return { seconds: (performance.now() - started) / 1000, processorSeconds: (user + system) / 1e6 }
}

const pixels: Pixels[] = []
for (const index of chosen) pixels.push(prepareImage((await set.read(index)).image, options.shortSide))

/** The windows of the images `from` to `to` as batches of one size. */
function batchesOf(from: number, to: number): { image: Pixels; window: Window }[][] {
  const bySize = new Map<string, { image: Pixels; window: Window }[]>()
  for (let i = from; i < to; i++) {
    const image = pixels[i % pixels.length]
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

let windows = 0
async function encoder(from: number, to: number) {
  for (const batch of batchesOf(from, to)) {
    await encodeBatch(params, model, batch)
    windows += batch.length
  }
}

/** Images from this one on are not read yet, and who waits for that. */
let gate = { at: 0, open: Promise.resolve(), let: () => {} }
function closeGate(at: number) {
  gate.let()
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  gate = { at, open: opened, let: open }
}
const heldUp: SegmentationSet = {
  ...set,
  ids,
  async read(i) {
    while (i >= gate.at) await gate.open
    return { ...(await set.read(chosen[i % chosen.length])), id: ids[i] }
  },
}

const now = () => Math.round(process.memoryUsage.rss() / 1e6)
const tenths: number[] = []
let evaluation: Promise<unknown> = Promise.resolve()
let reached = { images: 0, tell: () => {} }

/** Lets the evaluation go on up to image `to`. */
function whole(from: number, to: number): Promise<unknown> {
  closeGate(to)
  const there = new Promise<void>((resolve) => {
    reached = { images: to, tell: resolve }
  })
  if (from === 0)
    evaluation = evaluateSegmentation({
      params,
      config,
      set: heldUp,
      purpose: 'final',
      limit: 0,
      onProgress(done) {
        while (tenths.length < 10 && done >= ((tenths.length + 1) * total) / 10) tenths.push(now())
        if (done >= reached.images) reached.tell()
      },
    })
  // the last round ends with the numbers; a failure ends any
  return to === total ? evaluation : Promise.race([there, evaluation])
}

const sum = (rounds: readonly Round[], of: 'encoder' | 'whole', cost: keyof Cost) =>
  rounds.reduce((all, round) => all + round[of][cost], 0)
const onTop = (rounds: readonly Round[], cost: keyof Cost) =>
  sum(rounds, 'whole', cost) / sum(rounds, 'encoder', cost) - 1
const percent = (share: number) => `${(100 * share).toFixed(1)} %`

await encodeBatch(params, model, batchesOf(0, Math.min(total, chunk))[0]) // warm
const rounds: Round[] = []
const started = performance.now()
for (let from = 0; from < total; from += ofRound) {
  const to = Math.min(total, from + ofRound)
  const first = rounds.length % 2 === 1 ? await measure(() => encoder(from, to)) : null
  const all = await measure(() => whole(from, to))
  const alone = first ?? (await measure(() => encoder(from, to)))
  rounds.push({ images: to - from, encoder: alone, whole: all, megabytes: now() })
  const left = ((performance.now() - started) / to) * (total - to)
  console.error(
    `${to} of ${total} images: encoder ${alone.seconds.toFixed(1)} s (${alone.processorSeconds.toFixed(1)} s of processor), whole ${all.seconds.toFixed(1)} s (${all.processorSeconds.toFixed(1)} s), on top so far ${percent(onTop(rounds, 'seconds'))} (${percent(onTop(rounds, 'processorSeconds'))}), ${now()} MB, ${Math.ceil(left / 60_000)} min left`,
  )
}

const result = {
  images: total,
  windows,
  encoderSeconds: sum(rounds, 'encoder', 'seconds'),
  wholeSeconds: sum(rounds, 'whole', 'seconds'),
  imagesPerSecond: total / sum(rounds, 'whole', 'seconds'),
  onTop: onTop(rounds, 'seconds'),
  medianOnTop: median(rounds.map((round) => onTop([round], 'seconds'))),
  encoderProcessorSeconds: sum(rounds, 'encoder', 'processorSeconds'),
  wholeProcessorSeconds: sum(rounds, 'whole', 'processorSeconds'),
  processorOnTop: onTop(rounds, 'processorSeconds'),
  medianProcessorOnTop: median(rounds.map((round) => onTop([round], 'processorSeconds'))),
}
if (values.json) process.stdout.write(`${JSON.stringify({ ...result, megabytes: tenths, rounds }, null, 2)}\n`)
else {
  console.table(result)
  console.log(`resident memory by tenths: ${tenths.join(', ')} MB`)
}
