import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { EXIT, UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import type { StreamSpeed } from '../data/bench.ts'
import type { Report } from '../data/check.ts'
import { formatBytes } from '../tui/format.ts'
import { type Cell, type Context, defineCommand, type Out, withSet } from './command.ts'
import { reportProgress } from './progress.ts'

const ACTIONS = ['make', 'check', 'show', 'bench', 'pack', 'index', 'download'] as const
const TIERS = ['easy', 'medium', 'hard'] as const

type Args = {
  action: (typeof ACTIONS)[number]
  paths: string[]
  set: string[]
  config?: string
  out?: string
  n: number
  seconds: number
  images: number
  captions?: string
  perShard?: number
} & { [key in 'size' | 'train' | 'val' | 'test' | 'seed']?: number } & { tier?: (typeof TIERS)[number] }

type Shown = { key: string; caption: string; nouns: string[]; prompts: string[] }
type Done =
  | { action: 'make'; dir: string; fingerprint: string; images: number }
  | { action: 'check'; ok: boolean; sources: Report[] }
  | { action: 'show'; file: string; samples: Shown[] }
  | ({ action: 'bench'; train: string; batchSize: number; imageSize: number; workers: number } & StreamSpeed)
  | { action: 'pack'; dir: string; shards: number; samples: number; missing: string[] }
  | { action: 'index'; shards: number; samples: number; faults: number; captions: number; nounTags: string }
  | { action: 'download'; dir: string }

export default defineCommand<Args, Done>({
  kind: 'data',
  builder: (y) =>
    withSet(y)
      .positional('action', {
        choices: ACTIONS,
        demandOption: true,
        describe:
          'make scenes · check SHARDS|DIR: read everything · show SHARDS|DIR: a contact sheet · bench [SHARDS]: speed of the stream · pack IMAGES: write shards · index SHARDS: find the nouns once · download voc2012|coco2017|coco2017-captions',
      })
      .positional('paths', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'Shards, patterns or folders',
      })
      .option('out', { alias: 'o', type: 'string', describe: 'Folder (make, pack, download) or PNG (show)' })
      .option('config', { type: 'string', describe: 'Configuration whose data section is used (show, bench)' })
      .option('tier', { choices: TIERS, describe: 'How firmly colour and texture are bound to the thing (make)' })
      .option('size', { type: 'number', describe: 'Side of a scene in pixels (make)' })
      .option('train', { type: 'number', describe: 'Training scenes (make)' })
      .option('val', { type: 'number', describe: 'Validation scenes (make)' })
      .option('test', { type: 'number', describe: 'Test scenes (make)' })
      .option('seed', { type: 'number', describe: 'Seed of the scenes (make)' })
      .option('n', { type: 'number', default: 16, describe: 'Samples of a contact sheet (show)' })
      .option('seconds', { type: 'number', default: 10, describe: 'Longest time to measure (bench)' })
      .option('images', { type: 'number', default: 1e9, describe: 'Most images to read (bench)' })
      .option('captions', {
        type: 'string',
        describe: 'captions.jsonl, .csv or COCO .json (pack); IMAGES/captions.jsonl',
      })
      .option('per-shard', { type: 'number', default: 1000, describe: 'Samples of a shard (pack)' }),
  run(args, context): Promise<Done> {
    const { action } = args
    if (action === 'make') return make(args, context)
    if (action === 'check') return check(args, context)
    if (action === 'show') return show(args, context)
    if (action === 'bench') return bench(args, context)
    if (action === 'pack') return pack(args, context)
    if (action === 'index') return index(args, context)
    return download(args, context)
  },
  print(done, out) {
    if (done.action === 'make')
      out.line(`${done.dir}: ${plural(done.images, 'scene')}, fingerprint ${done.fingerprint}`)
    else if (done.action === 'check') printCheck(done.sources, out)
    else if (done.action === 'show') printShow(done.file, done.samples, out)
    else if (done.action === 'bench') printBench(done, out)
    else if (done.action === 'index')
      out.line(
        `${plural(done.shards, 'shard')}, ${plural(done.samples, 'sample')}, ${plural(done.faults, 'fault')}; nouns of ${plural(done.captions, 'caption')} (${done.nounTags}) are kept next to the shards`,
      )
    else if (done.action === 'download') out.line(done.dir)
    else {
      out.line(`${done.dir}: ${plural(done.samples, 'sample')} in ${plural(done.shards, 'shard')}`)
      for (const file of done.missing) out.line(`left out: ${printable(file)}`)
    }
  },
})

async function make(args: Args, context: Context): Promise<Done> {
  if (args.paths.join() !== 'scenes')
    throw new UserError('what shall be made?', { hint: 'gvx data make scenes --tier easy -o DIR' })
  const { ensureScenes, makeScenes, readManifest } = await import('../data/scenes/write.ts')
  const { data } = loadConfig(null, { overrides: scenesOverrides(args), overridesFrom: 'gvx data make' }).config
  const progress = reportProgress('scenes', 'scenes', context)
  const dir = args.out ? resolve(args.out) : await ensureScenes(data.scenes, context.home, progress)
  if (args.out) await makeScenes(data.scenes, dir, progress)
  const manifest = await readManifest(dir)
  const { train, val, test } = data.scenes
  return { action: 'make', dir, fingerprint: manifest?.fingerprint ?? '', images: train + val + test }
}

function scenesOverrides(args: Args): Record<string, unknown> {
  const names = ['tier', 'size', 'train', 'val', 'test', 'seed'] as const
  return Object.fromEntries(
    names.filter((name) => args[name] !== undefined).map((name) => [`data.scenes.${name}`, args[name]]),
  )
}

async function check(args: Args, context: Context): Promise<Done> {
  requirePaths(args)
  const { checkSource } = await import('../data/check.ts')
  const sources: Report[] = []
  for (const path of args.paths) {
    const progress = reportProgress(path, 'read', context)
    sources.push(await checkSource(path, (done, total) => progress(Math.floor(done), total)))
  }
  const ok = sources.every((source) => source.problems.length === 0)
  if (!ok) context.setExit(EXIT.assertionFalse)
  return { action: 'check', ok, sources }
}

async function show(args: Args, context: Context): Promise<Done> {
  const { isLabelled } = await import('../data/check.ts')
  if (args.paths.length === 1 && isLabelled(args.paths[0])) return showLabelled(args, context)
  const { previewSamples } = await import('../data/preview.ts')
  const { drawSheet } = await import('../data/sheet.ts')
  const config = configFor(args)
  const found = await previewSamples(config, context.home, args.n, reportProgress('scenes', 'scenes', context))
  const cells = found.map(({ before, after, caption, nouns }) => ({
    images: [before, after],
    text: `${printable(caption)} [${nouns.map(printable).join(', ')}]`,
  }))
  const file = resolve(args.out ?? 'contact-sheet.png')
  await writeFile(file, await drawSheet(cells, 4))
  const samples = found.map(({ key, caption, nouns, prompts }) => ({ key, caption, nouns, prompts }))
  return { action: 'show', file, samples }
}

/** Images beside their masks, spread over the split that the data set reports. */
async function showLabelled({ paths: [root], n, out, set }: Args, { home }: Context): Promise<Done> {
  const { openSegmentationSet } = await import('../data/segmentation-set.ts')
  const { drawSheet, paintMask } = await import('../data/sheet.ts')
  const { data, eval: evaluation } = loadConfig(null, { sets: set }).config
  const { classNames, split } = evaluation.voc
  const labelled = await openSegmentationSet({ root, split, classNames, home, scenes: data.scenes })
  const count = Math.min(n, labelled.ids.length)
  const shown = Array.from({ length: count }, (_, i) => Math.floor((i * labelled.ids.length) / count))
  const images = await Promise.all(shown.map((i) => labelled.read(i)))
  const samples = images.map(({ id, mask }) => {
    const seen = [...new Set(mask.data)].filter((v) => v < labelled.classNames.length)
    return { key: id, caption: '', nouns: seen.sort((a, b) => a - b).map((v) => labelled.classNames[v]), prompts: [] }
  })
  const cells = images.map(({ id, image, mask }, i) => ({
    images: [image, paintMask(mask)],
    text: `${printable(id)} [${samples[i].nouns.join(', ')}]`,
  }))
  const file = resolve(out ?? 'contact-sheet.png')
  await writeFile(file, await drawSheet(cells, 4))
  return { action: 'show', file, samples }
}

async function bench(args: Args, context: Context): Promise<Done> {
  const { benchStream } = await import('../data/bench.ts')
  const config = configFor(args)
  const limit = { seconds: args.seconds, images: args.images }
  const progress = reportProgress('scenes', 'scenes', context)
  const speed = await benchStream(config, context.home, limit, context.signal, progress)
  const { data, train, model } = config
  const shape = { train: JSON.stringify(data.train), batchSize: train.batchSize, imageSize: model.imageSize }
  return { action: 'bench', ...shape, workers: data.workers, ...speed }
}

/** The configuration that was named with the shards that were named; without either, that of the scenes. */
function configFor({ config, paths, set }: Args): Config {
  const overrides: Record<string, unknown> = paths.length > 0 ? { 'data.train': paths } : {}
  if (!config && paths.length > 0) overrides['train.batchSize'] = 64
  const file = config ?? (paths.length > 0 ? null : 'scenes.yaml')
  return loadConfig(file, { overrides, overridesFrom: 'gvx data', sets: set }).config
}

async function pack(args: Args, context: Context): Promise<Done> {
  const [images] = requirePaths(args)
  if (!args.out) throw new UserError('where shall the shards go?', { hint: 'gvx data pack IMAGES -o shards/' })
  const { packShards } = await import('../data/pack.ts')
  const captions = args.captions ?? join(images, 'captions.jsonl')
  const out = resolve(args.out)
  const onProgress = reportProgress('packing', 'images', context)
  const packed = await packShards({ images, captions, out, samplesPerShard: args.perShard ?? 1000, onProgress })
  return { action: 'pack', dir: out, shards: packed.shards.length, samples: packed.samples, missing: packed.missing }
}

async function index(args: Args, context: Context): Promise<Done> {
  requirePaths(args)
  const { expandShards } = await import('../data/shard-paths.ts')
  const { loadShardIndex } = await import('../data/shard-index.ts')
  const { writeNounCache } = await import('../data/noun-cache.ts')
  const files = args.paths.flatMap(expandShards)
  const { nounTags } = configFor(args).data
  const progress = reportProgress('index', 'shards', context)
  const found = { samples: 0, faults: 0, captions: 0 }
  for (const [i, file] of files.entries()) {
    const index = loadShardIndex(file, join(context.home, 'data', 'index'))
    found.samples += index.samples.length
    found.faults += index.faults.length
    found.captions += writeNounCache(file, nounTags, index)
    progress(i + 1, files.length)
  }
  return { action: 'index', shards: files.length, nounTags, ...found }
}

async function download(args: Args, context: Context): Promise<Done> {
  const { DATASETS, downloadDataset } = await import('../data/download.ts')
  const [name] = args.paths
  const dataset = Object.hasOwn(DATASETS, name ?? '') ? DATASETS[name] : null
  if (!dataset)
    throw new UserError(`there is no data set ${printable(name ?? '')} to download.`, {
      hint: `gvx knows: ${Object.keys(DATASETS).join(', ')}`,
    })
  const onProgress = reportProgress(name, 'bytes', context)
  const dir = resolve(args.out ?? join(context.home, 'data'))
  return { action: 'download', dir: await downloadDataset({ dataset, dir, onProgress, signal: context.signal }) }
}

function requirePaths({ action, paths }: Args): string[] {
  if (paths.length === 0) throw new UserError(`gvx data ${action} needs a path.`, { hint: 'gvx data --help shows how' })
  return paths
}

/** Problems that are listed one by one; `--json` has all. */
const LISTED = 20

function printCheck(sources: Report[], out: Out): void {
  for (const { path, type, usable, problems, faults, pixels, details, classShares } of sources) {
    out.line(out.bold(path))
    const facts = Object.entries(details).map(
      ([name, value]) => `${name} ${name === 'bytes' ? formatBytes(Number(value)) : value}`,
    )
    out.line(`${plural(usable, type === 'shards' ? 'usable sample' : 'usable image')}; ${facts.join(', ')}`)
    if (pixels) out.line(`pixels: ${pixels[0]} to ${pixels[2]}, median ${pixels[1]}`)
    if (classShares) {
      const shares = Object.entries(classShares).map(([name, share]): Cell[] => [name, share])
      const percent = (value: Cell) => `${(Number(value) * 100).toFixed(2)} %`
      out.table({ columns: [{ name: 'class' }, { name: 'pixels', align: 'right', format: percent }], rows: shares })
    }
    for (const { kind, file, key, message } of problems.slice(0, LISTED))
      out.line(`${kind}: ${printable(key ?? file)}: ${printable(message)}`)
    if (problems.length > LISTED) out.line(`… and ${problems.length - LISTED} more (--json has all)`)
    const counts = Object.entries(faults).map(([kind, count]) => `${count} ${kind}`)
    out.line(counts.length > 0 ? `faults: ${counts.join(', ')}` : 'no fault.')
  }
}

function printShow(file: string, samples: Shown[], out: Out): void {
  out.table({
    columns: [{ name: 'key' }, { name: 'caption', weight: 3 }, { name: 'nouns', weight: 2 }],
    rows: samples.map(({ key, caption, nouns }): Cell[] => [key, caption, nouns.join(', ')]),
  })
  out.line(`${file}`)
}

function printBench(done: Extract<Done, { action: 'bench' }>, out: Out): void {
  out.line(`${done.imagesPerSecond.toFixed(0)} images/s: ${done.images} images in ${done.seconds.toFixed(1)} s`)
  out.line(
    `${done.cpuSecondsPerThousand.toFixed(2)} processor seconds a thousand images; first batch after ${done.firstBatchSeconds.toFixed(1)} s`,
  )
  out.line(`memory by tenths: ${done.memory.tenths.map(formatBytes).join(', ')}`)
  const faults = Object.entries(done.faults).map(([kind, count]) => `${count} ${kind}`)
  if (faults.length > 0) out.line(`faults: ${faults.join(', ')}`)
}
