import { writeFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { encodeRgbPng } from '../../lib/data/png.ts'
import { loadTokenizer } from '../../lib/data/tokenizer.ts'
import {
  configOf,
  gzipOf,
  type Member,
  pngOf,
  readSteps,
  samples,
  tarOf,
  temporary,
  writeShards,
  zstdOf,
} from './build.ts'

/** Threads compile the sources when they start, which takes its time on a busy machine. */
const STARTING_THREADS = 180_000

const threeShards = async () => {
  const dir = temporary()
  return { home: dir, shards: await writeShards(dir, [samples(0, 7), samples(7, 6), samples(13, 8)]) }
}

describe('the training stream', () => {
  it('resumes at any step with the same batches', async () => {
    const { home, shards } = await threeShards()
    await fc.assert(
      fc.asyncProperty(
        fc.record({ seed: fc.nat(20), start: fc.integer({ min: 1, max: 14 }), buffer: fc.constantFrom(1, 8, 100) }),
        async ({ seed, start, buffer }) => {
          const config = configOf(shards, { seed, data: { shuffleBuffer: buffer } })
          const whole = await readSteps(config, home, 0, start + 3)
          const resumed = await readSteps(config, home, start, 3)
          expect(resumed.batches).toEqual(whole.batches.slice(start))
        },
      ),
      { numRuns: 12 },
    )
  })

  it('is the same with any number of threads', { timeout: STARTING_THREADS }, async () => {
    const { home, shards } = await threeShards()
    const read = async (workers: number) =>
      (await readSteps(configOf(shards, { data: { workers } }), home, 2, 9)).batches
    const inline = await read(0)
    expect(inline).toHaveLength(9)
    expect(await read(2)).toEqual(inline)
  })

  it('reads compressed shards as it reads plain ones', async () => {
    const { home, shards } = await threeShards()
    const dir = temporary()
    const compressed = [
      gzipOf(await tarOf(samples(0, 7))),
      zstdOf(await tarOf(samples(7, 6))),
      await tarOf(samples(13, 8)),
    ]
    const paths = compressed.map((content, i) => {
      const file = path.join(dir, path.basename(shards[i]))
      writeFileSync(file, content)
      return file
    })
    const plain = await readSteps(configOf(shards), home, 0, 8)
    expect((await readSteps(configOf(paths), home, 0, 8)).batches).toEqual(plain.batches)
  })

  it('gives images, the caption and K prompts in their shapes', async () => {
    const { home, shards } = await threeShards()
    const { batches, samplesPerEpoch } = await readSteps(configOf(shards), home, 0, 5)
    expect(samplesPerEpoch).toBe(21)
    const tokenizer = loadTokenizer()
    const text = (tokens: Int32Array, at: number) =>
      tokenizer.decode([...tokens.subarray(at * 16, at * 16 + 16)].filter((id) => id > 0 && id < 49406))
    for (const { images, tokens, keys } of batches) {
      expect(images).toHaveLength(4 * 8 * 8 * 3)
      expect(tokens).toHaveLength(4 * 3 * 16)
      for (const [row, key] of keys.entries()) {
        expect(text(tokens, row * 3)).toBe(`a dog number ${[...String(Number(key.slice(1)))].join(' ')} on grass `)
        expect(text(tokens, row * 3 + 1)).toMatch(/dog|number|grass/)
      }
    }
    expect(new Set(batches.flatMap((batch) => batch.keys)).size).toBe(20)
  })

  it('without augmentation resizes the centre and does nothing else', async () => {
    const { home, shards } = await threeShards()
    const read = async (seed: number) => {
      const config = configOf(shards, { seed, data: { augment: 'none' } })
      const { batches } = await readSteps(config, home, 0, 5)
      const images = batches.flatMap(({ keys, images }) =>
        keys.map((key, i) => [key, images.slice(i * 192, i * 192 + 192)]),
      )
      return new Map(images as [string, Float32Array][])
    }
    const [one, two] = [await read(1), await read(2)]
    const common = [...one.keys()].filter((key) => two.has(key))
    expect(common.length).toBeGreaterThan(10)
    for (const key of common) expect(two.get(key)).toEqual(one.get(key))
  })

  it('draws one of the captions of a .json at random', async () => {
    const captions = ['a red cat', 'a blue dog', 'one green bird']
    const members: Member[] = [0, 1, 2].flatMap((n) => [
      [`k${n}.png`, pngOf(n)] as Member,
      [`k${n}.json`, JSON.stringify({ captions })] as Member,
    ])
    const dir = temporary()
    const { batches } = await readSteps(
      configOf(await writeShards(dir, [members]), { batchSize: 3, nouns: 0 }),
      dir,
      0,
      20,
    )
    const tokenizer = loadTokenizer()
    const first = new Set(batches.map((batch) => batch.tokens.slice(0, 4).join()))
    const expected = captions.map((caption) => [49406, ...tokenizer.encode(caption)].join())
    expect([...first].sort()).toEqual(expected.sort())
  })

  it('with shuffled captions gives every image the caption of another', async () => {
    const { home, shards } = await threeShards()
    const { batches } = await readSteps(configOf(shards, { nouns: 0, data: { shuffleCaptions: true } }), home, 0, 5)
    const tokenizer = loadTokenizer()
    for (const { keys, tokens } of batches)
      for (const [row, key] of keys.entries()) {
        const own = tokenizer.pad(`a dog number ${Number(key.slice(1))} on grass`, 16)
        expect(tokens.slice(row * 16, row * 16 + 16)).not.toEqual(own)
      }
  })
})

const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) % 251)
const jpeg = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
  .jpeg()
  .toBuffer()

describe('a bad sample', () => {
  const bomb = () => {
    const png = Buffer.from(encodeRgbPng(new Uint8Array(12), 2, 2))
    png.writeUInt32BE(60_000, 16)
    png.writeUInt32BE(60_000, 20)
    // sharp reads the size before it looks at the checksum
    return png
  }
  const cases: [string, Member[], string][] = [
    [
      'a corrupt image',
      [
        ['bad.png', Buffer.from('no image')],
        ['bad.txt', 'a dog'],
      ],
      'corrupt-image',
    ],
    [
      'a truncated image',
      [
        ['bad.png', pngOf(1).subarray(0, -20)],
        ['bad.txt', 'a dog'],
      ],
      'corrupt-image',
    ],
    [
      'a truncated JPEG',
      [
        ['bad.jpg', jpeg.subarray(0, jpeg.length / 2)],
        ['bad.txt', 'a dog'],
      ],
      'corrupt-image',
    ],
    [
      'an image bomb',
      [
        ['bad.png', bomb()],
        ['bad.txt', 'a dog'],
      ],
      'image-bomb',
    ],
    [
      'an SVG',
      [
        ['bad.png', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'],
        ['bad.txt', 'a dog'],
      ],
      'corrupt-image',
    ],
    [
      'an empty caption',
      [
        ['bad.png', pngOf(1)],
        ['bad.txt', ' \n'],
      ],
      'empty-caption',
    ],
    [
      'a .json without captions',
      [
        ['bad.png', pngOf(1)],
        ['bad.json', '{"a": 1}'],
      ],
      'empty-caption',
    ],
    [
      'a .json that is none',
      [
        ['bad.png', pngOf(1)],
        ['bad.json', '{'],
      ],
      'bad-json',
    ],
    ['an image alone', [['bad.png', pngOf(1)]], 'missing-partner'],
    ['a caption alone', [['bad.txt', 'a dog']], 'missing-partner'],
    ['a name that reaches out', [['../bad.png', pngOf(1)]], 'unsafe-name'],
  ]

  it.each(cases)('is counted, named once and left out: %s', async (_, members, kind) => {
    const dir = temporary()
    const shards = await writeShards(dir, [[...members, ...samples(0, 21)]])
    const { batches, faults, counts } = await readSteps(configOf(shards), dir, 0, 12)
    expect(counts).toEqual({ [kind]: 1 })
    expect(faults.map((fault) => [fault.kind, fault.shard])).toEqual([[kind, shards[0]]])
    expect(batches.flatMap((batch) => batch.keys)).not.toContain('bad')
  })

  it('does not change what other steps see', async () => {
    const dir = temporary()
    const shards = await writeShards(dir, [[['bad.png', 'x'], ['bad.txt', 'a dog'], ...samples(0, 21)]])
    const whole = await readSteps(configOf(shards), dir, 0, 12)
    const resumed = await readSteps(configOf(shards), dir, 5, 7)
    expect(resumed.batches).toEqual(whole.batches.slice(5))
  })

  it('too often ends the run with a sentence', async () => {
    const dir = temporary()
    const bad = (n: number): Member[] => [
      [`bad${n}.png`, 'x'],
      [`bad${n}.txt`, 'a dog'],
    ]
    const shards = await writeShards(dir, [[...bad(1), ...bad(2), ...bad(3), ...samples(0, 17)]])
    await expect(readSteps(configOf(shards), dir, 0, 5)).rejects.toThrow(
      /^[23] of 20 samples are bad, more than data.faultQuota = 0.05; the last: part-0.tar, bad\d: is neither/,
    )
    const patient = await readSteps(configOf(shards, { data: { faultQuota: 0.5 } }), dir, 0, 10)
    expect(patient.counts).toEqual({ 'corrupt-image': 3 })
  })

  it('in a truncated shard among whole ones costs only what was cut off', async () => {
    const dir = temporary()
    const shards = await writeShards(dir, [samples(0, 20), samples(20, 20)])
    const bytes = await tarOf(samples(0, 20))
    writeFileSync(shards[0], bytes.subarray(0, 18 * 2048 + 100))
    const { counts, samplesPerEpoch } = await readSteps(configOf(shards), dir, 0, 8)
    expect(counts).toEqual({ 'truncated-tar': 1 })
    expect(samplesPerEpoch).toBe(38)
  })

  it('is all there is: a sentence, not a loop', { timeout: STARTING_THREADS }, async () => {
    const dir = temporary()
    const none = await writeShards(dir, [[['a.png', pngOf(1)]]])
    await expect(readSteps(configOf(none), dir, 0, 1)).rejects.toThrow('hold no image with a caption')
    const unusable = await writeShards(dir, [
      [
        ['a.png', 'x'],
        ['a.txt', 'a dog'],
      ],
    ])
    // From a thread too: the sentence and its class cross the border.
    for (const workers of [0, 1]) {
      const reading = readSteps(configOf(unusable, { data: { workers, faultQuota: 1 } }), dir, 0, 1)
      await expect(reading).rejects.toThrow('100 samples in a row could not be used at step 0')
      await expect(reading).rejects.toBeInstanceOf(UserError)
    }
  })
})
