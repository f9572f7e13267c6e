import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { openClassificationSet } from '../../lib/data/classification-set.ts'
import { TEMPLATES } from '../../lib/data/templates.ts'
import { loadTokenizer } from '../../lib/data/tokenizer.ts'
import { buildZeroShotClassifier } from '../../lib/eval/classifier.ts'
import { evaluateClassification, prepare } from '../../lib/eval/classify.ts'
import { embedImages } from '../../lib/eval/encode.ts'
import { initParams } from '../../lib/model/index.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { type Member, pngOf, tarOf, temporary } from '../data/build.ts'
import { config } from './small.ts'

/** A folder in ImageNet's layout: `count` images in each class. */
function folders(classes: Record<string, number>, files: Record<string, string> = {}): string {
  const root = path.join(temporary(), 'pets')
  let n = 0
  for (const [name, count] of Object.entries(classes)) {
    mkdirSync(path.join(root, 'val', name), { recursive: true })
    for (let i = 0; i < count; i++) writeFileSync(path.join(root, 'val', name, `${i}.PNG`), pngOf(n++))
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(root, name), text)
  return root
}

async function shards(labels: (string | null)[], files: Record<string, string> = {}): Promise<string> {
  const root = path.join(temporary(), 'pets')
  mkdirSync(path.join(root, 'val'), { recursive: true })
  const members = labels.flatMap((label, i): Member[] => [
    [`k${i}.png`, pngOf(i)],
    ...(label === null ? [] : [[`k${i}.cls`, label] as Member]),
    [`k${i}.json`, '{"width": 12}'],
  ])
  writeFileSync(path.join(root, 'val/0.tar'), await tarOf(members.slice(0, 6)))
  writeFileSync(path.join(root, 'val/1.tar'), await tarOf(members.slice(6)))
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(root, name), text)
  return root
}

const open = (root: string, split = 'val') => openClassificationSet({ root, split, home: temporary() })

describe('a data set for classification', () => {
  test('is a folder with a folder for each class, named by the folders or by a file', async () => {
    const named = open(folders({ great_dane: 2, cat: 1 }))
    expect(named).toMatchObject({ name: 'pets', classNames: ['cat', 'great dane'] })
    expect(named.ids).toEqual(['cat/0.PNG', 'great_dane/0.PNG', 'great_dane/1.PNG'])
    expect([...named.labels]).toEqual([0, 1, 1])
    expect(await named.read(1)).toMatchObject({ width: 12, height: 10 })

    const classes = { n00000002: 1, n00000001: 1 }
    const mapping = 'n00000001 tench, Tinca tinca\nn00000002 great white shark\nn00000003 hen\n'
    const set = open(folders(classes, { 'LOC_synset_mapping.txt': mapping }))
    expect(set.classNames).toEqual(['tench', 'great white shark'])
    expect(open(folders(classes, { 'classnames.txt': 'a fish\na shark\n' })).classNames).toEqual(['a fish', 'a shark'])
    expect(open(path.join(folders({ a: 1, b: 1 }), 'val')).ids).toHaveLength(2)
  })

  test('is shards with .cls and the names of the classes beside them', async () => {
    const root = await shards(['1', '0', ' 2\n', '1'], { 'classnames.txt': 'tench\ngreat white shark\nhen\n' })
    const set = open(root)
    expect(set).toMatchObject({ classNames: ['tench', 'great white shark', 'hen'], ids: ['k0', 'k1', 'k2', 'k3'] })
    expect([...set.labels]).toEqual([1, 0, 2, 1])
    expect((await set.read(3)).width).toBe(12)
    set.close()
    const same = open(path.join(root, 'val/{0..1}.tar'))
    expect(same.fingerprint).toBe(set.fingerprint)
    same.close()
  })

  test.each([
    ['nothing there', () => '/nowhere/at/all', /is not there/],
    ['an empty folder', () => temporary(), /neither folders of images nor shards/],
    ['an empty class', () => folders({ cat: 1, dog: 0 }), /1 of 2 class folders .* hold no image: dog/],
    ['ids without names', () => folders({ n00000001: 1 }), /have no names/],
    [
      'a folder that no name belongs to',
      () => folders({ cat: 1, dog: 1 }, { 'classnames.txt': 'cat Katze\n' }),
      /1 of 2 folders are not among them: dog/,
    ],
    ['shards without names', () => shards(['0']), /have no names/],
    [
      'a class beyond the names',
      () => shards(['0', '2', '1'], { 'classnames.txt': 'a\nb\n' }),
      /1 of 3 images have a \.cls that is no number below 2: k1/,
    ],
    ['a class that is no number', () => shards(['0', 'cat'], { 'classnames.txt': 'a\nb\n' }), /no number below 2: k1/],
    ['an image without a class', () => shards(['0', null], { 'classnames.txt': 'a\nb\n' }), /1 fault .*no \.cls/],
  ])('is refused with a sentence: %s', async (_, make, why) => {
    const root = await make()
    expect(() => open(root)).toThrow(UserError)
    expect(() => open(root)).toThrow(why)
  })

  test('names an image that is damaged when it is read', async () => {
    const root = folders({ cat: 2 })
    writeFileSync(path.join(root, 'val/cat/1.PNG'), 'no')
    await expect(open(root).read(1)).rejects.toThrow(/cat\/1\.PNG cannot be used/)
  })
})

test('an image is resized by its short side and cut in the middle, as torchvision does it', () => {
  const data = Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => Math.floor(i / 3) % 40)
  const { width, height } = prepare({ data, width: 40, height: 30 }, 30, 26)
  expect([width, height]).toEqual([26, 26])
  // columns 7…32 of 40: (40 − 26) / 2
  const first = prepare({ data, width: 40, height: 30 }, 30, 26).data[0]
  expect(first).toBeCloseTo((7 / 255 - 0.485) / 0.229, 6)
})

describe('zero-shot classification', () => {
  let params: Params = {}
  beforeAll(async () => {
    await openBackend({ backend: 'wasm', threads: 1 })
    params = initParams(config.model, 1)
  })
  afterAll(() => tf.dispose(params))

  test('counts the images whose class is the nearest, or among the five nearest', async () => {
    const names = ['cat', 'dog', 'red bus', 'tree', 'sky', 'fish', 'house']
    const root = folders(Object.fromEntries(names.map((name, i) => [name, 1 + (i % 3)])))
    const set = open(root)
    const before = tf.memory().numTensors
    const result = await evaluateClassification({ params, config, set, limit: 0 })
    expect(tf.memory().numTensors).toBe(before)

    const classifier = await buildZeroShotClassifier(params, config, loadTokenizer(), set.classNames, TEMPLATES.clip7)
    const images = await Promise.all(set.ids.map(async (_, i) => prepare(await set.read(i), 36, 32)))
    const embeddings = await embedImages(params, config.model, images)
    const places = set.ids.map((_, i) => {
      const cosines = set.classNames.map((_, c) => {
        let dot = 0
        for (let k = 0; k < 8; k++) dot += embeddings[i * 8 + k] * classifier.data[c * 8 + k]
        return dot
      })
      return cosines.filter((cosine) => cosine > cosines[set.labels[i]]).length
    })
    const share = (k: number) => places.filter((place) => place < k).length / places.length
    expect(result).toMatchObject({
      dataset: 'imagenet',
      images: 13,
      values: { acc1: share(1), acc5: share(5) },
      baselines: { chance: 1 / 7, majority: 3 / 13 },
      protocol: { task: 'classification', set: 'pets', classes: 7, templates: 'clip7', shortSide: 36, cropSize: 32 },
    })
    expect(result.values.acc5).toBeGreaterThan(result.values.acc1)
    const part = await evaluateClassification({ params, config, set, limit: 4 })
    expect(part.protocol).toMatchObject({ images: 4 })
  })
})
