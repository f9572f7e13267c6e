import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Context, Out, Table } from '../../lib/cli/command.ts'
import evalCommand from '../../lib/cli/eval.ts'
import leaderboardCommand from '../../lib/cli/leaderboard.ts'
import metricsCommand from '../../lib/cli/metrics.ts'
import plotCommand from '../../lib/cli/plot.ts'
import segmentCommand from '../../lib/cli/segment.ts'
import { decodeImage } from '../../lib/data/image.ts'
import { decodeMask } from '../../lib/data/mask.ts'
import { initParams } from '../../lib/model/index.ts'
import { saveCheckpoint } from '../../lib/run/checkpoint.ts'
import { readRunConfig } from '../../lib/run/folder.ts'
import { ingestRun } from '../../lib/store/ingest.ts'
import { leaderboard } from '../../lib/store/leaderboard.ts'
import { openStore, type Store } from '../../lib/store/open.ts'
import { evaluationsOf } from '../../lib/store/runs.ts'
import { openBackend, tf } from '../../lib/tensor/index.ts'
import { pngOf } from '../data/build.ts'
import { emptyHome, fakeRun, line, started } from '../store/home.ts'

const SMALL = [
  'model.imageSize=32',
  'model.patchSize=8',
  'model.embedDim=16',
  'model.numHeads=2',
  'model.depth=2',
  'model.stages=1',
  'model.groupTokens=4',
  'model.segments=3',
  'model.text.width=16',
  'model.text.depth=1',
  'model.text.numHeads=2',
  'model.projection.dim=8',
  'model.projection.hiddenDim=16',
  'data.scenes.train=2',
  'data.scenes.val=4',
  'data.scenes.test=6',
  'runtime.backend=wasm',
]

const home = emptyHome(afterAll)
let store: Store
let runDir: string
const said: string[] = []
const context: Context = {
  home,
  store: async () => store,
  say: (text) => void said.push(text),
  write: () => {},
  setExit: () => {},
  signal: new AbortController().signal,
  argv: [],
}

/** A run that has one checkpoint of an untrained model. */
beforeAll(async () => {
  await openBackend({ backend: 'wasm', threads: 1 })
  runDir = fakeRun(home, { sets: SMALL })
  const params = initParams(readRunConfig(runDir).model, 0)
  const model = new Map(
    Object.entries(params).map(([name, tensor]) => [
      name,
      { shape: [...tensor.shape], data: tensor.dataSync() as Float32Array },
    ]),
  )
  tf.dispose(params)
  saveCheckpoint(runDir, 40, {
    model,
    optimizer: new Map(),
    state: { configHash: '', best: null, versions: {} },
    best: true,
  })
  writeFileSync(
    join(runDir, 'events.1.jsonl'),
    line(started()) +
      [10, 20, 30].map((step) => line({ type: 'metric', step, values: { 'train/loss': 1 / step } })).join(''),
  )
  store = openStore(home)
  ingestRun(store, runDir)
})
afterAll(() => store?.close())

const evaluate = (rest: Record<string, unknown> = {}) =>
  evalCommand.run({ runs: ['run1'], limit: 0, set: [], ...rest } as never, context)

test('an evaluation of the whole split is recorded beside the run and stands in the database', async () => {
  const predictions = join(home, 'predictions')
  const { evaluations } = await evaluate({ savePredictions: predictions })
  expect(evaluations).toMatchObject([{ run: 'run1', step: 40, images: 6, recorded: 'evals/eval-1.event.json' }])
  const [recorded] = evaluationsOf(store, 1)
  expect(recorded.values.mIoU).toBe(evaluations[0].values.mIoU)
  expect(recorded.counts).not.toBeNull()
  expect(readdirSync(predictions)).toHaveLength(6)

  const root = readdirSync(join(home, 'data')).find((name) => name.startsWith('scenes'))!
  const measured = await metricsCommand.run(
    { predictions, root: join(home, 'data', root), split: 'test' } as never,
    context,
  )
  for (const name of ['mIoU', 'aAcc', 'mAcc', 'boundaryIoU'] as const)
    expect(measured[name]).toBe(evaluations[0].values[name])
})

test('a part of the split, or another method, is shown and not recorded', async () => {
  const before = readdirSync(join(runDir, 'evals')).length
  const { evaluations } = await evaluate({ limit: 2 })
  expect(evaluations[0]).toMatchObject({ images: 2, recorded: null })
  expect(readdirSync(join(runDir, 'evals'))).toHaveLength(before)
  expect(said.join('\n')).toContain('a part of the split is not recorded')
})

test('an evaluation that broke off goes on at the image where it stopped, and says so', async () => {
  const { evaluations: whole } = await evaluate({ limit: 5 })
  const savePredictions = join(home, 'saved')
  const root = join(home, 'data', readdirSync(join(home, 'data')).find((name) => name.startsWith('scenes'))!)
  const ids = readFileSync(join(root, 'ImageSets/Segmentation/test.txt'), 'utf8').trim().split('\n')
  const inTheWay = join(savePredictions, `${ids[3]}.png`)
  mkdirSync(inTheWay, { recursive: true })
  await expect(evaluate({ limit: 5, savePredictions })).rejects.toThrow(/EISDIR/)
  const left = () => readdirSync(join(runDir, 'evals')).filter((name) => name.startsWith('unfinished-'))
  expect(left()).toHaveLength(1)
  rmSync(inTheWay, { recursive: true })
  said.length = 0
  // a prediction that is gone is made again
  rmSync(join(savePredictions, `${ids[1]}.png`))
  const { evaluations } = await evaluate({ limit: 5, savePredictions })
  expect(said).toContain('run1: 2 images are known from an evaluation that was interrupted')
  expect(left()).toEqual([])
  expect(readdirSync(savePredictions)).toHaveLength(5)
  const { seconds: _, ...numbers } = evaluations[0]
  expect(whole[0]).toMatchObject(numbers)
})

test('classification is recorded under its own name and never stands beside mIoU', async () => {
  const pets = join(home, 'pets')
  for (const [i, name] of ['cat', 'dog', 'dog', 'red bus'].entries()) {
    mkdirSync(join(pets, 'val', name), { recursive: true })
    writeFileSync(join(pets, 'val', name, `${i}.png`), pngOf(i))
  }
  const { evaluations } = await evaluate({ dataset: 'imagenet', root: pets })
  const { values, interval } = evaluations[0]
  expect(evaluations[0]).toMatchObject({ dataset: 'imagenet', images: 4, baselines: { chance: 1 / 3, majority: 0.5 } })
  expect(interval[0]).toBeLessThan(values.acc1)
  expect(interval[1]).toBeGreaterThan(values.acc1)
  const datasets = (metric?: string) => leaderboard(store, { metric }).map(({ dataset }) => dataset)
  expect(datasets()).not.toContain('imagenet')
  expect(datasets('acc1')).toEqual(['imagenet'])
  const [board] = leaderboard(store, { metric: 'acc1' })
  expect(board.rows.map(({ name }) => name)).toEqual(expect.arrayContaining(['chance', 'majority']))
  await expect(evaluate({ dataset: 'imagenet' })).rejects.toThrow(/needs --root/)
  await expect(evaluate({ dataset: 'imagenet', root: pets, savePredictions: 'x' })).rejects.toThrow(/no part in/)
})

test('--dataset says what must be under --root', async () => {
  const root = join(home, 'data', readdirSync(join(home, 'data')).find((name) => name.startsWith('scenes'))!)
  const { evaluations } = await evaluate({ dataset: 'scenes', limit: 2 })
  expect(evaluations[0].protocol.set).toMatch(/^scenes/)
  await expect(evaluate({ dataset: 'voc', root, limit: 2 })).rejects.toThrow(/holds scenes\S* not voc/)
})

test('the threshold is chosen on another split, and the protocol says so', async () => {
  const voc = { voc: 'builtin:scenes#voc', backgroundThreshold: 'auto' }
  const { evaluations } = await evaluate(voc)
  expect(evaluations[0].protocol).toMatchObject({ threshold: 'chosen on val', backgroundThreshold: 'auto' })
  expect(evaluations[0].curve!.length).toBeGreaterThan(10)
  await expect(evaluate({ ...voc, split: 'val' })).rejects.toThrow(/chosen on the split that is reported/)
})

test('a threshold that is chosen on the reported split is called an oracle in the protocol and on the leaderboard', async () => {
  const { evaluations } = await evaluate({ voc: 'builtin:scenes#voc', oracleThreshold: true })
  expect(evaluations[0].protocol).toMatchObject({ threshold: 'chosen on test', backgroundThreshold: 'oracle' })
  expect(evaluations[0].values.mIoU).toBe(Math.max(...evaluations[0].curve!.map(({ mIoU }) => mIoU)))
  const data = await leaderboardCommand.run({ metric: 'mIoU' } as never, context)
  const titles: (string | undefined)[] = []
  const out = { table: ({ title }: Table) => void titles.push(title), say: () => {} } as unknown as Out
  leaderboardCommand.print!(data, out)
  const endings = titles.map((title) => title!.replace(/^.*protocol \w+/, '')).sort()
  expect(endings).toEqual(['', ', oracle threshold: chosen on test itself', ', threshold chosen on val'])
})

test('what was fixed by training cannot be changed', async () => {
  await expect(evaluate({ set: ['model.stages=2'] })).rejects.toThrow(/model\.stages is fixed/)
  await expect(evaluate({ set: ['eval.topK=-1'] })).rejects.toThrow(/eval\.topK/)
  await expect(evaluate({ runs: ['run7'] })).rejects.toThrow(/there is no run run7/)
})

test('images are segmented into named classes, with a picture and a label map', async () => {
  const image = join(home, 'data', readdirSync(join(home, 'data'))[0], 'JPEGImages')
  const file = join(image, readdirSync(image)[0])
  const out = join(home, 'segmented')
  const args = { images: [file], run: '@last', classes: 'background, red star,grass', out, set: [] }
  const { images } = await segmentCommand.run(args as never, context)
  expect(images.map(({ lines }) => lines)).toEqual(images.map(() => [])) // no terminal here, so no picture in the output
  expect(images[0].classes.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9)
  const mask = decodeMask(readFileSync(images[0].labels!))
  expect(Math.max(...mask.data)).toBeLessThan(3)
  expect((await decodeImage(readFileSync(images[0].picture!))).width).toBeGreaterThan(mask.width)
  await expect(segmentCommand.run({ ...args, images: [join(home, 'no.jpg')] } as never, context)).rejects.toThrow(
    /no\.jpg is not there/,
  )
  await expect(segmentCommand.run({ ...args, classes: ' , ' } as never, context)).rejects.toThrow(/1 to 255 names/)
})

test('no picture is written over an image, or over the picture of another', async () => {
  const folders = ['a', 'b'].map((name) => join(home, 'photos', name))
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true })
    for (const name of ['cat.png', 'cat-labels.png']) writeFileSync(join(folder, name), 'an image')
  }
  const [a, b] = folders
  for (const [images, out] of [
    [[join(a, 'cat.png')], a],
    [[join(a, 'cat.png'), join(b, 'cat.png')], join(home, 'out')],
    [[join(a, 'cat.png'), join(a, 'cat-labels.png')], join(home, 'out')],
    [[join(b, 'cat.png'), join(a, 'cat-labels.png')], a],
  ] as const)
    await expect(segmentCommand.run({ images, run: '@last', out, set: [] } as never, context)).rejects.toThrow(
      /would be written over/,
    )
  expect(readFileSync(join(a, 'cat.png'), 'utf8')).toBe('an image')
  expect(existsSync(join(home, 'out'))).toBe(false)
})

test('curves are drawn as SVG and PNG; a metric nobody measured is an error that lists those there are', async () => {
  const plot = (rest: Record<string, unknown>) =>
    plotCommand.run({ runs: ['run1'], metric: 'train/loss', ...rest } as never, context)
  const svg = join(home, 'loss.svg')
  await plot({ out: svg, log: true })
  expect(readFileSync(svg, 'utf8')).toMatch(
    /^<svg .*mark-line.*<path [^>]*d="M0,0L[\d.]+,[\d.]+L680,340".*>train\/loss</s,
  )
  await plot({ out: join(home, 'loss.png') })
  expect((await decodeImage(readFileSync(join(home, 'loss.png')))).width).toBeGreaterThan(700)
  await plot({ out: join(home, 'loss.json') })
  expect(JSON.parse(readFileSync(join(home, 'loss.json'), 'utf8'))).toMatchObject({
    title: 'train/loss',
    layer: [{ mark: { type: 'line' } }, {}],
  })
  await expect(plot({ out: svg, metric: 'nope' })).rejects.toThrow(/no run has a point of nope/)
  await expect(plot({ out: join(home, 'loss.gif') })).rejects.toThrow(/\.svg, \.png, \.json/)
  await expect(plot({ out: join(home, 'film.png'), samples: true })).rejects.toThrow(/no pictures/)
  const step = join(runDir, 'samples/step-00000010')
  mkdirSync(step, { recursive: true })
  writeFileSync(join(step, 'a.png'), readFileSync(join(home, 'loss.png')))
  await plot({ out: join(home, 'film.png'), samples: true })
  expect(existsSync(join(home, 'film.png'))).toBe(true)
})

test('plot --confusion draws which class was taken for which, and its diagonal is what was found', async () => {
  const svg = join(home, 'confusion.svg')
  const args = { runs: ['run1'], metric: 'train/loss', out: svg, confusion: true, limit: 0, set: [] }
  const { confusion } = await plotCommand.run(args as never, context)
  const { classNames, images, pixels, mIoU } = confusion!
  expect([images, classNames.length, pixels.length]).toEqual([6, 13, 13])
  const row = (c: number) => pixels[c].reduce((a, b) => a + b, 0)
  const column = (c: number) => pixels.reduce((sum, values) => sum + values[c], 0)
  const iou = classNames
    .map((_, c) => pixels[c][c] / (row(c) + column(c) - pixels[c][c]))
    .filter((v) => !Number.isNaN(v))
  expect(iou.reduce((a, b) => a + b, 0) / iou.length).toBeCloseTo(mIoU, 12)
  const drawn = readFileSync(svg, 'utf8')
  for (const name of classNames) expect(drawn.split(`>${name}<`)).toHaveLength(3) // once beside a row, once above a column
  const cells = pixels.flat().filter((count) => count > 0).length
  expect(drawn.match(/stroke-width="0.5"/g)).toHaveLength(cells)
  expect(drawn.match(/stroke="#000"/g)).toHaveLength(13)
  const spec = join(home, 'confusion.json')
  await plotCommand.run({ ...args, out: spec } as never, context)
  expect(JSON.parse(readFileSync(spec, 'utf8')).data.values).toHaveLength(
    pixels.flatMap((row, r) => row.filter((count, c) => count > 0 || r === c)).length,
  )
  await expect(plotCommand.run({ ...args, runs: ['run1', 'run1'] } as never, context)).rejects.toThrow(/draws one run/)
})
