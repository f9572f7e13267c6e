import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeMask } from '../../lib/data/mask.ts'
import { drawScene, renderScene, type Tier } from '../../lib/data/scenes/scene.ts'
import { THINGS } from '../../lib/data/scenes/shapes.ts'
import { APPEARANCE, STUFF } from '../../lib/data/scenes/textures.ts'
import { ensureScenes, readManifest } from '../../lib/data/scenes/write.ts'
import { indexShard } from '../../lib/data/shard-index.ts'
import { temporary } from './build.ts'

const tiers: Tier[] = ['easy', 'medium', 'hard']

function hashOf(tier: Tier, size: number, count: number): string {
  const hash = createHash('sha256')
  for (let i = 0; i < count; i++) {
    const scene = drawScene(0, 'train', i, tier, size)
    const { pixels, things, context } = renderScene(scene)
    hash.update(pixels).update(things).update(context).update(scene.caption)
  }
  return hash.digest('hex').slice(0, 16)
}

describe('scenes', () => {
  // Pixels, masks and captions on every machine and Node version; a change of these is another benchmark.
  it.each([
    ['easy', 64, '7303a0ea7040b7e3'],
    ['medium', 64, '4dffd0c34be9287c'],
    ['hard', 96, '6afe9c957ea73ace'],
  ] as const)('are equal to the pixel everywhere: %s at %i', (tier, size, expected) => {
    expect(hashOf(tier, size, 30)).toBe(expected)
  })

  it('depend on seed, split, index and tier', () => {
    const pixels = (seed: number, split: 'train' | 'val', index: number, tier: Tier) =>
      Buffer.from(renderScene(drawScene(seed, split, index, tier, 64)).pixels).toString('base64')
    const base = pixels(0, 'train', 0, 'easy')
    expect(pixels(0, 'train', 0, 'easy')).toBe(base)
    for (const other of [pixels(1, 'train', 0, 'easy'), pixels(0, 'val', 0, 'easy'), pixels(0, 'train', 1, 'easy')])
      expect(other).not.toBe(base)
    expect(pixels(0, 'train', 0, 'hard')).not.toBe(base)
  })

  it.each(tiers)(
    'of the tier %s are captioned with every object, three times of five with their stuff, never with another',
    (tier) => {
      let named = 0
      for (let i = 0; i < 400; i++) {
        const { caption, objects, backdrop } = drawScene(3, 'train', i, tier, 64)
        for (const { thing } of objects) expect(caption).toContain(thing)
        const stuff = STUFF.filter((word) => caption.includes(word))
        if (stuff.length > 0) expect(stuff).toEqual([backdrop.stuff])
        named += stuff.length
      }
      expect(named / 400).toBeGreaterThan(0.52)
      expect(named / 400).toBeLessThan(0.68)
    },
  )

  it('bind colour and texture to the thing as firmly as the tier says', () => {
    const share = (tier: Tier) => {
      const objects = Array.from({ length: 400 }, (_, i) => drawScene(0, 'train', i, tier, 64).objects).flat()
      const bound = objects.filter(
        (o) => o.color === APPEARANCE[o.thing].color && o.texture === APPEARANCE[o.thing].texture,
      )
      return bound.length / objects.length
    }
    expect(share('easy')).toBe(1)
    expect(share('medium')).toBeGreaterThan(0.87)
    expect(share('medium')).toBeLessThan(0.95)
    expect(share('hard')).toBeLessThan(0.1)
  })

  it('have masks that agree with each other', () => {
    for (let i = 0; i < 20; i++) {
      const scene = drawScene(0, 'val', i, 'easy', 64)
      const { things, context } = renderScene(scene)
      const labels = new Set(things)
      labels.delete(0)
      labels.delete(255)
      const drawn = new Set(scene.objects.map((o) => THINGS.indexOf(o.thing) + 1))
      expect([...labels].every((label) => drawn.has(label))).toBe(true)
      expect(labels.size).toBeGreaterThan(0)
      const agree = (thing: number, inContext: number) =>
        thing === 255 ? inContext === 255 : thing === 0 ? inContext >= THINGS.length : inContext === thing - 1
      expect(things.every((thing, p) => agree(thing, context[p]))).toBe(true)
    }
  })

  it('are made once, whole, into a folder that names its options', async () => {
    const home = temporary()
    const options = { tier: 'easy', size: 64, train: 30, val: 6, test: 5, seed: 7 } as const
    const progress: [number, number][] = []
    const [dir, again] = await Promise.all([
      ensureScenes(options, home, (done, total) => progress.push([done, total])),
      ensureScenes(options, home),
    ])
    expect(again).toBe(dir)
    expect(path.basename(dir)).toMatch(/^scenes-easy-64-[0-9a-f]{8}$/)
    expect(progress.at(-1)).toEqual([41, 41])
    expect(readdirSync(path.join(home, 'data'))).toEqual([path.basename(dir)])
    expect(indexShard(path.join(dir, 'train-000000.tar')).samples).toHaveLength(30)
    expect(readdirSync(path.join(dir, 'JPEGImages'))).toHaveLength(11)
    expect(readFileSync(path.join(dir, 'ImageSets/Segmentation/test.txt'), 'utf8').trim().split('\n')).toHaveLength(5)
    const mask = decodeMask(readFileSync(path.join(dir, 'SegmentationClass/val-000000.png')))
    expect(Buffer.from(mask.data)).toEqual(Buffer.from(renderScene(drawScene(7, 'val', 0, 'easy', 64)).things))

    const manifest = await readManifest(dir)
    const elsewhere = await ensureScenes(options, temporary())
    expect((await readManifest(elsewhere))?.fingerprint).toBe(manifest?.fingerprint)
    const other = await ensureScenes({ ...options, seed: 8 }, home)
    expect(other).not.toBe(dir)
    expect((await readManifest(other))?.fingerprint).not.toBe(manifest?.fingerprint)
    expect(existsSync(path.join(other, 'classes.yaml'))).toBe(true)
  })
})
