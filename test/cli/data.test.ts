import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { samples, tarOf, temporary } from '../data/build.ts'
import { gvx } from './gvx.ts'

const real = '/work/shared/real-samples'

describe('gvx data', { timeout: 120_000 }, () => {
  it('makes scenes, checks them and draws them', async () => {
    const home = temporary()
    const made = await gvx([
      'data',
      'make',
      'scenes',
      '--train',
      '20',
      '--val',
      '4',
      '--test',
      '4',
      '-o',
      path.join(home, 's'),
    ])
    expect(made).toMatchObject({ code: 0 })
    expect(made.stdout).toMatch(/28 scenes, fingerprint [0-9a-f]{16}/)
    const check = await gvx(['data', 'check', path.join(home, 's'), path.join(home, 's/*.tar'), '--json'], { home })
    const { version, kind, ok, sources } = JSON.parse(check.stdout)
    expect({ version, kind, ok }).toEqual({ version: 1, kind: 'data', ok: true })
    expect(sources.map((s: { type: string; usable: number }) => [s.type, s.usable])).toEqual([
      ['segmentation', 8],
      ['shards', 20],
    ])
    const sheet = path.join(home, 'sheet.png')
    const show = await gvx(['data', 'show', path.join(home, 's/*.tar'), '-n', '3', '-o', sheet], { home })
    expect(show).toMatchObject({ code: 0 })
    expect(existsSync(sheet)).toBe(true)
  })

  it('names every fault of a shard and exits with 5', async () => {
    const home = temporary()
    const file = path.join(home, 'x.tar')
    writeFileSync(
      file,
      await tarOf([
        ...samples(0, 3),
        ['bad.png', 'x'],
        ['bad.txt', 'a dog'],
        ['e\u001b[2J.png', 'x'],
        ['alone.txt', 'x'],
      ]),
    )
    const text = await gvx(['data', 'check', file], { home })
    expect(text.code).toBe(5)
    expect(text.stdout).toContain('corrupt-image: bad: is neither JPEG')
    expect(text.stdout).toContain('3 usable samples')
    expect(text.stdout).not.toContain('\u001b')
    const json = JSON.parse((await gvx(['data', 'check', file, '--json'], { home })).stdout)
    expect(json.sources[0].faults).toEqual({ 'corrupt-image': 1, 'missing-partner': 1, 'unsafe-name': 1 })
  })

  it('says in a sentence what it cannot do', async () => {
    const nothing = await gvx(['data', 'check', '/nowhere/*.tar'])
    expect(nothing).toMatchObject({ code: 2, stdout: '' })
    expect(nothing.stderr).toContain('No shard matches "/nowhere/*.tar".')
    expect((await gvx(['data', 'make', 'coffee'])).stderr).toContain('what shall be made?')
    expect((await gvx(['data', 'download', 'imagenet'])).stderr).toContain('gvx knows: voc2012')
    expect((await gvx(['data', 'pack'])).stderr).toContain('needs a path')
  })

  it('measures the stream', async () => {
    const home = temporary()
    const file = path.join(home, 'x.tar')
    writeFileSync(file, await tarOf(samples(0, 70)))
    const args = [
      'data',
      'bench',
      file,
      '--images',
      '200',
      '--set',
      'model.imageSize=32',
      '--set',
      'model.patchSize=8',
      '--json',
    ]
    const { imagesPerSecond, images, memory } = JSON.parse((await gvx(args, { home })).stdout)
    expect(images).toBeGreaterThanOrEqual(200)
    expect(imagesPerSecond).toBeGreaterThan(1)
    expect(memory.end).toBeGreaterThan(0)
  })

  it.skipIf(!existsSync(real))('finds no fault in real shards and real PASCAL VOC', async () => {
    const home = temporary()
    const args = ['data', 'check', `${real}/webdataset/*.tar`, `${real}/VOCdevkit`, '--json']
    const answer = await gvx(args, { home })
    expect(answer.code).toBe(0)
    const { sources } = JSON.parse(answer.stdout)
    expect(sources.map((s: { usable: number }) => s.usable)).toEqual([40, 40])
    expect(sources[0].details.captions).toBe(200)
  })
})
