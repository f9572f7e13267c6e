import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { encode } from 'fast-png'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { UserError } from '../../lib/core/errors.ts'
import { checkSource } from '../../lib/data/check.ts'
import { decodeMask } from '../../lib/data/mask.ts'
import { encodeMaskPng } from '../../lib/data/png.ts'
import { openSegmentationSet } from '../../lib/data/segmentation-set.ts'
import { temporary } from './build.ts'

const scenes = configSchema.parse({ data: { scenes: { train: 4, val: 3, test: 2 } } }).data.scenes
const open = (root: string, split = 'val', classNames: 'reference' | 'voc' = 'reference') =>
  openSegmentationSet({ root, split, classNames, home: path.join(root, '..'), scenes })

/** A VOCdevkit with images of 6 × 4 pixels whose masks are 0, 7, 255. */
async function voc(ids: string[]): Promise<string> {
  const root = path.join(temporary(), 'VOCdevkit')
  const dir = path.join(root, 'VOC2012')
  for (const folder of ['JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'])
    mkdirSync(path.join(dir, folder), { recursive: true })
  const jpeg = await sharp({ create: { width: 6, height: 4, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer()
  const mask = Uint8Array.from({ length: 24 }, (_, i) => [0, 7, 255][i % 3])
  for (const id of ids) {
    writeFileSync(path.join(dir, 'JPEGImages', `${id}.jpg`), jpeg)
    writeFileSync(path.join(dir, 'SegmentationClass', `${id}.png`), encodeMaskPng(mask, 6, 4))
  }
  writeFileSync(path.join(dir, 'ImageSets/Segmentation/val.txt'), `${ids.join('\n')}\n`)
  return root
}

describe('a labelled set', () => {
  it('in PASCAL VOC layout is found from VOCdevkit and from VOC2012', async () => {
    const root = await voc(['a', 'b'])
    for (const place of [root, path.join(root, 'VOC2012')]) {
      const set = await open(place)
      expect(set).toMatchObject({ name: 'voc2012', split: 'val', background: true, ids: ['a', 'b'], ignoreIndex: 255 })
      expect(set.classNames).toHaveLength(21)
      expect(set.things).toHaveLength(20)
      const { id, image, mask } = await set.read(1)
      expect([id, image.width, image.height, image.data.length]).toEqual(['b', 6, 4, 72])
      expect([...mask.data.slice(0, 6)]).toEqual([0, 7, 255, 0, 7, 255])
    }
  })

  it('names the classes as the reference or as VOC does', async () => {
    const root = await voc(['a'])
    const names = async (how: 'reference' | 'voc') => (await open(root, 'val', how)).classNames
    expect((await names('reference')).filter((name) => ['table', 'plant', 'monitor'].includes(name))).toHaveLength(3)
    expect(await names('voc')).toContain('pottedplant')
  })

  it('of scenes has things and stuff, and as a variant things over background', async () => {
    const home = temporary()
    const openScenes = (root: string, split: string) =>
      openSegmentationSet({ root, split, classNames: 'reference', home, scenes })
    const context = await openScenes('builtin:scenes', 'auto')
    expect(context).toMatchObject({ name: 'scenes-easy-64', split: 'test', background: false })
    expect(context.classNames).toHaveLength(13)
    expect(context.things).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(context.ids).toHaveLength(2)
    const withBackground = await openScenes('builtin:scenes#voc', 'val')
    expect(withBackground).toMatchObject({ name: 'scenes-easy-64-voc', split: 'val', background: true })
    expect(withBackground.classNames[0]).toBe('background')
    expect(withBackground.things).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(Math.max(...(await withBackground.read(0)).mask.data.filter((v) => v !== 255))).toBeLessThanOrEqual(8)
    await expect(openScenes('builtin:scenes#coco', 'val')).rejects.toThrow('has no variant "coco"')
  })

  it('of one’s own needs a classes.yaml and no list', async () => {
    const root = temporary()
    mkdirSync(path.join(root, 'pictures'))
    mkdirSync(path.join(root, 'labels'))
    writeFileSync(
      path.join(root, 'classes.yaml'),
      'name: mine\nimages: pictures\nmasks: labels\nbackground: false\nclasses: [sky, ground]\n',
    )
    const png = encode({ width: 2, height: 2, data: new Uint8Array(12), channels: 3, depth: 8 })
    writeFileSync(path.join(root, 'pictures/x.png'), png)
    writeFileSync(path.join(root, 'labels/x.png'), encodeMaskPng(Uint8Array.of(0, 1, 1, 255), 2, 2))
    const set = await open(root)
    expect(set).toMatchObject({ name: 'mine', ids: ['x'], classNames: ['sky', 'ground'], things: null })
    expect([...(await set.read(0)).mask.data]).toEqual([0, 1, 1, 255])
    writeFileSync(path.join(root, 'classes.yaml'), 'classes: []\n')
    await expect(open(root)).rejects.toThrow('classes.yaml: classes')
  })

  it('has a fingerprint of its list and masks', async () => {
    const root = await voc(['a', 'b'])
    const before = (await open(root)).fingerprint
    expect((await open(root)).fingerprint).toBe(before)
    const mask = path.join(root, 'VOC2012/SegmentationClass/b.png')
    writeFileSync(mask, encodeMaskPng(new Uint8Array(24), 6, 4))
    expect((await open(root)).fingerprint).not.toBe(before)
  })
})

describe('the other data sets of the reference', () => {
  const grey = (...values: number[]) =>
    encode({ width: values.length, height: 1, data: Uint8Array.from(values), channels: 1, depth: 8 })
  const jpegOf = (width: number) =>
    sharp({ create: { width, height: 1, channels: 3, background: 'red' } })
      .jpeg()
      .toBuffer()
  const put = (file: string, content: Uint8Array | string) => {
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, content)
  }

  it('PASCAL Context is a VOC2010 with SegmentationClassContext', async () => {
    const root = path.join(temporary(), 'VOC2010')
    put(path.join(root, 'JPEGImages/x.jpg'), await jpegOf(3))
    put(path.join(root, 'SegmentationClass/x.png'), grey(1, 1, 1))
    put(path.join(root, 'SegmentationClassContext/x.png'), grey(0, 59, 255))
    put(path.join(root, 'ImageSets/SegmentationContext/val.txt'), 'x\n')
    const set = await open(root, 'auto')
    expect(set).toMatchObject({ name: 'context59', background: true, ids: ['x'] })
    expect([set.classNames.length, set.classNames[59]]).toEqual([60, 'wood'])
    expect([...(await set.read(0)).mask.data]).toEqual([0, 59, 255])
  })

  it('COCO-Object is COCO-Stuff with the stuff as background', async () => {
    const root = temporary()
    put(path.join(root, 'images/val2017/000000000139.jpg'), await jpegOf(6))
    // person 1, stop sign 13, toothbrush 90, a stuff id above 90, unlabelled, and an id that does not exist
    put(path.join(root, 'stuffthingmaps/val2017/000000000139.png'), grey(0, 12, 89, 150, 255, 11))
    const set = await open(root, 'auto')
    expect(set).toMatchObject({ name: 'coco-object', ids: ['000000000139'] })
    const { mask } = await set.read(0)
    const named = [...mask.data].map((v) => set.classNames[v] ?? v)
    expect(named).toEqual(['person', 'stop sign', 'toothbrush', 'background', 255, 'background'])
    expect(await checkSource(root)).toMatchObject({ type: 'segmentation', usable: 1, problems: [] })
  })

  it('COCO-Stuff is all 171 classes of the same maps, without background', async () => {
    const root = temporary()
    put(path.join(root, 'images/val2017/a.jpg'), await jpegOf(7))
    // person 1, toothbrush 90, banner 92, wall-other 177, wood 182, an id that does not exist, unlabelled
    put(path.join(root, 'stuffthingmaps/val2017/a.png'), grey(0, 89, 91, 176, 181, 11, 255))
    const set = await open(`${root}#stuff`, 'auto')
    expect(set).toMatchObject({ name: 'coco-stuff', background: false })
    expect(set.classNames).toHaveLength(171)
    expect(new Set(set.classNames).size).toBe(171)
    const named = [...(await set.read(0)).mask.data].map((v) => set.classNames[v] ?? v)
    expect(named).toEqual(['person', 'toothbrush', 'banner', 'wood wall', 'wood', 255, 255])
    await expect(open(`${root}#things`)).rejects.toThrow('COCO has no variant "things"')
  })

  it('COCO-Object is also what the reference prepares', async () => {
    const root = temporary()
    put(path.join(root, 'images/val2017/a.jpg'), await jpegOf(2))
    put(path.join(root, 'annotations/val2017/a_instanceTrainIds.png'), grey(0, 80))
    const set = await open(root)
    expect(set.ids).toEqual(['a'])
    expect([...(await set.read(0)).mask.data]).toEqual([0, 80])
    await expect(open(`${root}#stuff`)).rejects.toThrow(/no stuffthingmaps\/val2017/)
  })
})

describe('a labelled set with a mistake', () => {
  it.each([
    ['no list', 'ImageSets/Segmentation/val.txt', /The split "val" of voc2012 is not there/],
    ['an image missing', 'JPEGImages/b.jpg', /^1 of 2 images of the split "val" are missing in .*: b\.$/],
    ['a mask missing', 'SegmentationClass/b.png', /^1 of 2 masks of the split "val" are missing in .*: b\.$/],
    ['no masks at all', 'SegmentationClass', /is not in PASCAL VOC layout/],
  ])('is a sentence: %s', async (_, gone, message) => {
    const root = await voc(['a', 'b'])
    rmSync(path.join(root, 'VOC2012', gone), { recursive: true })
    await expect(open(root)).rejects.toThrow(message)
    await expect(open(root)).rejects.toBeInstanceOf(UserError)
  })

  it.each([
    [
      'a mask of another size',
      'SegmentationClass/b.png',
      encodeMaskPng(new Uint8Array(9), 3, 3),
      /mask of b is 3×3, its image 6×4/,
    ],
    [
      'a damaged mask',
      'SegmentationClass/b.png',
      encodeMaskPng(new Uint8Array(24), 6, 4).fill(1, 40, 60),
      /b.png cannot be used/,
    ],
    [
      'a mask in colours',
      'SegmentationClass/b.png',
      encode({ width: 6, height: 4, data: new Uint8Array(72), channels: 3 }),
      /neither a palette PNG/,
    ],
    ['a damaged image', 'JPEGImages/b.jpg', Buffer.from('no'), /b.jpg cannot be used: is neither JPEG/],
  ])('is a sentence when it is read: %s', async (_, file, content, message) => {
    const root = await voc(['a', 'b'])
    writeFileSync(path.join(root, 'VOC2012', file), content)
    const set = await open(root)
    await set.read(0)
    await expect(set.read(1)).rejects.toThrow(message)
    const report = await checkSource(root)
    expect(report).toMatchObject({ type: 'segmentation', usable: 1 })
    expect(report.problems).toHaveLength(1)
  })

  describe('that is audited before it is evaluated', () => {
    const audited = (root: string, faultQuota: number) =>
      openSegmentationSet({
        root,
        split: 'val',
        classNames: 'reference',
        home: path.join(root, '..'),
        scenes,
        audit: true,
        faultQuota,
      })
    /** Twelve images, five of them with a mistake each. */
    async function faulty() {
      const root = await voc(Array.from({ length: 12 }, (_, i) => `i${String(i).padStart(2, '0')}`))
      const put = (file: string, content: Uint8Array) => writeFileSync(path.join(root, 'VOC2012', file), content)
      rmSync(path.join(root, 'VOC2012/JPEGImages/i01.jpg'))
      rmSync(path.join(root, 'VOC2012/SegmentationClass/i03.png'))
      put('SegmentationClass/i05.png', encodeMaskPng(new Uint8Array(9), 3, 3))
      put('SegmentationClass/i07.png', encodeMaskPng(new Uint8Array(24).fill(21), 6, 4))
      put('JPEGImages/i09.jpg', Buffer.from('no'))
      return root
    }

    it('is refused above the quota, with what is wrong counted and named', async () => {
      const refused = audited(await faulty(), 0.4)
      await expect(refused).rejects.toBeInstanceOf(UserError)
      await expect(refused).rejects.toThrow(
        '5 of 12 images of the split "val" of voc2012 cannot be used (1 missing-image, 1 missing-mask, 1 size-mismatch, 1 unknown-label, 1 corrupt-image): i01 has no image, i03 has no mask, i05 its mask is 3×3, its image 6×4, ….',
      )
    })

    it('is evaluated without them below it, as another set than the whole one', async () => {
      const root = await faulty()
      const set = await audited(root, 0.5)
      expect(set.ids).toEqual(['i00', 'i02', 'i04', 'i06', 'i08', 'i10', 'i11'])
      expect(set.leftOut!.map(({ id, kind }) => `${id} ${kind}`)).toEqual([
        'i01 missing-image',
        'i03 missing-mask',
        'i05 size-mismatch',
        'i07 unknown-label',
        'i09 corrupt-image',
      ])
      expect((await set.read(6)).id).toBe('i11')
      const whole = await audited(await voc(set.ids), 0)
      expect(whole.leftOut).toEqual([])
      expect(whole.fingerprint).toBe(set.fingerprint)
    })
  })

  it('is not led out of its folder by a list', async () => {
    const root = await voc(['a'])
    writeFileSync(path.join(root, 'VOC2012/ImageSets/Segmentation/val.txt'), '../../a\n')
    await expect(open(root)).rejects.toThrow('an entry that is not a name')
  })

  it('that is not there is a sentence', async () => {
    await expect(open(path.join(temporary(), 'nowhere'))).rejects.toThrow('is not there')
  })
})

describe('a mask', () => {
  it.each([1, 2, 4, 8] as const)('of %i bits a pixel keeps its indices', (depth) => {
    const [width, height] = [5, 3]
    const values = Array.from({ length: 15 }, (_, i) => i % Math.min(2 ** depth, 15))
    const stride = Math.ceil((width * depth) / 8)
    const data = new Uint8Array(stride * height)
    for (const [i, v] of values.entries()) {
      const bit = (i % width) * depth
      data[Math.floor(i / width) * stride + (bit >> 3)] |= v << (8 - depth - (bit & 7))
    }
    const palette = Array.from({ length: 2 ** depth }, (_, i) => [i, 0, 0])
    const bytes = encode({ width, height, data, depth, channels: 1, palette } as Parameters<typeof encode>[0])
    expect([...decodeMask(bytes).data]).toEqual(values)
  })
})

const real = '/work/shared/real-samples/VOCdevkit'
describe.skipIf(!existsSync(real))('real PASCAL VOC', () => {
  it('is whole', async () => {
    const copy = path.join(temporary(), 'VOCdevkit')
    cpSync(real, copy, { recursive: true })
    const report = await checkSource(copy)
    expect(report).toMatchObject({ usable: 40, problems: [], details: { classes: 21 } })
    expect(report.classShares?.background).toBeCloseTo(0.739, 2)
  })
})
