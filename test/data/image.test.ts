import { existsSync, readFileSync } from 'node:fs'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { augmentationOf, augmentInto } from '../../lib/data/augment.ts'
import { decodeImage, denormalize, IMAGE_MEAN, type Image, NORMALIZED, normalize } from '../../lib/data/image.ts'
import { decodeRgbPng, encodeRgbPng } from '../../lib/data/png.ts'
import { OPERATIONS, randAugment } from '../../lib/data/rand-augment.ts'
import { drawCropBox } from '../../lib/data/random-crop.ts'
import { resizeBilinear, resizeHalfPixel } from '../../lib/data/resize.ts'
import { drawScene, renderScene } from '../../lib/data/scenes/scene.ts'

const noise = (width: number, height: number, seed = 0): Image => {
  const random = randomStream(seed, 'noise')
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, () => random.int(256)) }
}

describe('a small RGB PNG', () => {
  it('comes back as it was written', () => {
    for (const [width, height] of [
      [1, 1],
      [7, 5],
      [64, 64],
    ]) {
      const image = noise(width, height)
      expect(decodeRgbPng(encodeRgbPng(image.data, width, height))).toEqual(image)
    }
  })
  it('is read as sharp writes it, with whatever filters', async () => {
    const { pixels } = renderScene(drawScene(0, 'val', 0, 'easy', 64))
    for (const adaptiveFiltering of [true, false]) {
      const png = await sharp(pixels, { raw: { width: 64, height: 64, channels: 3 } })
        .png({ adaptiveFiltering })
        .toBuffer()
      expect(Buffer.from(decodeRgbPng(png)!.data)).toEqual(Buffer.from(pixels))
    }
  })
  it('that is damaged anywhere is left to sharp, which refuses it', async () => {
    const png = encodeRgbPng(noise(9, 9).data, 9, 9)
    for (let at = 20; at < png.length - 12; at += 17) {
      const damaged = Buffer.from(png)
      damaged[at] ^= 0x55
      expect(decodeRgbPng(damaged)).toBeNull()
    }
    await expect(decodeImage(png.subarray(0, png.length - 20))).rejects.toThrow()
  })
})

describe('decoding', () => {
  it.each([
    [
      'grey',
      sharp({ create: { width: 5, height: 4, channels: 3, background: '#888' } })
        .greyscale()
        .jpeg(),
    ],
    ['transparent', sharp({ create: { width: 5, height: 4, channels: 4, background: '#8888' } }).png()],
    [
      '16 bits',
      sharp({ create: { width: 5, height: 4, channels: 3, background: '#888' } })
        .toColourspace('rgb16')
        .png(),
    ],
    [
      'CMYK',
      sharp({ create: { width: 5, height: 4, channels: 3, background: '#888' } })
        .toColourspace('cmyk')
        .jpeg(),
    ],
    ['WebP', sharp({ create: { width: 5, height: 4, channels: 3, background: '#888' } }).webp()],
  ])('gives 8-bit RGB: %s', async (_, picture) => {
    const { data, width, height } = await decodeImage(await picture.toBuffer())
    expect([data.length, width, height]).toEqual([60, 5, 4])
    expect(Math.abs(data[0] - 0x88)).toBeLessThan(16)
  })
  it('ignores the EXIF orientation, as PIL does', async () => {
    const picture = sharp({ create: { width: 8, height: 4, channels: 3, background: 'red' } }).withMetadata({
      orientation: 6,
    })
    expect(await decodeImage(await picture.jpeg().toBuffer())).toMatchObject({ width: 8, height: 4 })
  })
})

/** With tables that change nothing. */
function halfPixel(image: Image, width: number, height: number): Image {
  const out = new Float32Array(width * height * 3)
  const same = Float32Array.from({ length: 256 }, (_, i) => i)
  resizeHalfPixel(image, { width, height }, [same, same, same], out)
  return { width, height, data: Uint8Array.from(out) }
}

describe('resizing', () => {
  it('keeps a flat image flat and its size when asked for it', () => {
    const flat = { width: 10, height: 6, data: new Uint8Array(180).fill(77) }
    for (const resize of [resizeBilinear, halfPixel]) {
      expect(new Set(resize(flat, 23, 4).data)).toEqual(new Set([77]))
      expect(resize(flat, 10, 6)).toEqual(flat)
    }
  })
  it('at half-pixel centres doubles as mmcv does', () => {
    const image = { width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 100, 100, 100) }
    expect([...halfPixel(image, 4, 1).data].filter((_, i) => i % 3 === 0)).toEqual([0, 25, 75, 100])
  })
  it('at half-pixel centres is the formula, pixel by pixel, also when it normalises on its way', () => {
    const stream = randomStream(4, 'resize')
    const [w, h] = [7, 5]
    const image = { width: w, height: h, data: Uint8Array.from({ length: w * h * 3 }, () => stream.int(256)) }
    const point = (i: number, from: number, to: number) => {
      const at = Math.min(from - 1, Math.max(0, ((i + 0.5) * from) / to - 0.5))
      const low = Math.floor(at)
      return [low, Math.min(from - 1, low + 1), at - low]
    }
    for (const [width, height] of [
      [19, 13],
      [7, 12],
      [3, 2],
      [16, 5],
      [7, 5],
    ]) {
      const resized = halfPixel(image, width, height)
      const expected = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
        const [left, right, u] = point(Math.floor(i / 3) % width, w, width)
        const [top, bottom, v] = point(Math.floor(i / 3 / width), h, height)
        const of = (y: number, x: number) => image.data[(y * w + x) * 3 + (i % 3)]
        const upper = of(top, left) * (1 - u) + of(top, right) * u
        const lower = of(bottom, left) * (1 - u) + of(bottom, right) * u
        return Math.floor(upper * (1 - v) + lower * v + 0.5)
      })
      expect(resized.data).toEqual(expected)
      const through = new Float32Array(expected.length)
      resizeHalfPixel(image, { width, height }, NORMALIZED, through)
      expect(through).toEqual(normalize(resized))
    }
  })
})

describe('normalisation', () => {
  it('takes ImageNet’s mean to zero and comes back', () => {
    const mean = { width: 1, height: 1, data: Uint8Array.from(IMAGE_MEAN, (m) => Math.round(m * 255)) }
    for (const v of normalize(mean)) expect(Math.abs(v)).toBeLessThan(0.01)
    const image = noise(6, 6)
    expect(denormalize(normalize(image), 0, 6)).toEqual(image)
  })
})

describe('the random crop', () => {
  it('stays within the image, the areas and the ratios', () => {
    const random = randomStream(0, 'crops')
    for (let i = 0; i < 2000; i++) {
      const { x, y, width, height } = drawCropBox({ width: 120, height: 80 }, [0.08, 1], random)
      expect(x >= 0 && y >= 0 && x + width <= 120 && y + height <= 80).toBe(true)
      expect((width * height) / 9600).toBeGreaterThan(0.07)
      expect(width / height).toBeGreaterThan(0.7)
      expect(width / height).toBeLessThan(1.51)
    }
  })
  it('of an image that fits no box is the largest centred one', () => {
    expect(drawCropBox({ width: 1000, height: 10 }, [1, 1], randomStream(0))).toEqual({
      x: 493,
      y: 0,
      width: 13,
      height: 10,
    })
  })
})

describe('augmentation', () => {
  const withData = (data: Record<string, unknown>) => augmentationOf(configSchema.parse({ data }).data, 16)
  const numbers = (data: Record<string, unknown>, seed = 0) => {
    const out = new Float32Array(2 * 16 * 16 * 3)
    augmentInto(noise(40, 30), withData(data), randomStream(seed, 'augment'), out, 16 * 16 * 3)
    expect(out.subarray(0, 768).every((v) => v === 0)).toBe(true)
    return out.slice(768)
  }
  it('has presets and a switch for each part', () => {
    const parts = ({ crop, flip, randAugment, erasing }: ReturnType<typeof withData>) => [
      crop,
      flip,
      randAugment,
      erasing,
    ]
    expect(parts(withData({ augment: 'none' }))).toEqual([false, false, false, false])
    expect(parts(withData({ augment: 'crop-flip' }))).toEqual([true, true, false, false])
    expect(parts(withData({ augment: 'reference' }))).toEqual([true, true, true, true])
    const mixed = { augment: 'reference', augmentations: { crop: false, randAugment: false } }
    expect(parts(withData(mixed))).toEqual([false, true, false, true])
  })
  it('is a function of its random stream', () => {
    for (let seed = 0; seed < 5; seed++)
      expect(numbers({ augment: 'reference' }, seed)).toEqual(numbers({ augment: 'reference' }, seed))
    expect(numbers({ augment: 'reference' }, 1)).not.toEqual(numbers({ augment: 'reference' }, 2))
  })
  it('erases about every fourth image with noise', () => {
    const erasing = { augment: 'none', augmentations: { erasing: true } }
    const plain = numbers({ augment: 'none' })
    const erased = Array.from({ length: 200 }, (_, seed) => numbers(erasing, seed)).filter((out) =>
      out.some((v, i) => v !== plain[i]),
    )
    expect(erased.length).toBeGreaterThan(30)
    expect(erased.length).toBeLessThan(75)
  })
  it('draws every operation of RandAugment and changes most images', () => {
    expect(Object.keys(OPERATIONS)).toHaveLength(15)
    const image = noise(12, 12)
    const changed = Array.from({ length: 100 }, (_, i) => randAugment(image, randomStream(i))).filter((out) =>
      out.data.some((v, p) => v !== image.data[p]),
    )
    expect(changed.length).toBeGreaterThan(60)
    expect(changed.length).toBeLessThan(90)
  })
})

const photograph = '/work/shared/real-samples/VOCdevkit/VOC2012/JPEGImages/2007_001586.jpg'
describe.skipIf(!existsSync(photograph))('a real photograph', () => {
  it('is decoded at its size', async () => {
    const { data, width, height } = await decodeImage(readFileSync(photograph))
    expect(data).toHaveLength(width * height * 3)
    expect(width * height).toBeGreaterThan(75_000)
  })
})
