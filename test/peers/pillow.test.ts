import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { rotate, shearX, shearY, translateX, translateY } from '../../lib/data/affine.ts'
import { decodeImage, type Image } from '../../lib/data/image.ts'
import * as pixelOps from '../../lib/data/pixel-ops.ts'
import { resizeBilinear } from '../../lib/data/resize.ts'
import { drawScene, renderScene } from '../../lib/data/scenes/scene.ts'
import { temporary } from '../data/build.ts'

/** gvx's image operations against Pillow's, on noise, on a scene and on a photograph where there is one. */
const python = ['/usr/bin/python3', 'python3'].find((name) => spawnSync(name, ['-c', 'import PIL']).status === 0)

type Call = [name: string, ...args: number[]]

const ours: Record<string, (image: Image, ...args: number[]) => Image> = {
  ...pixelOps,
  resize: resizeBilinear,
  rotate,
  shearX,
  shearY,
  translateX,
  translateY,
}

const factors = [0.1, 0.37, 0.73, 1, 1.19, 1.55, 1.9]
const calls: Call[] = [
  ...[
    [7, 5],
    [64, 64],
    [100, 33],
    [31, 90],
    [224, 224],
    [1, 1],
  ].map(([w, h]): Call => ['resize', w, h]),
  ['autoContrast'],
  ['equalize'],
  ['invert'],
  ...[0, 1, 2, 3, 4].map((bits): Call => ['posterize', bits]),
  ...[0, 3, 77, 128, 255, 256].map((threshold): Call => ['solarize', threshold]),
  ...[0, 50, 99, 110].map((add): Call => ['solarizeAdd', add]),
  ...['adjustColor', 'adjustContrast', 'adjustBrightness', 'adjustSharpness'].flatMap((name) =>
    factors.map((factor): Call => [name, factor]),
  ),
  ...[-30, -12.3, 0, 7.7, 29.1].map((degrees): Call => ['rotate', degrees]),
  ...['shearX', 'shearY'].flatMap((name) => [-0.3, -0.11, 0.07, 0.27].map((factor): Call => [name, factor])),
  ...['translateX', 'translateY'].flatMap((name) => [-0.45, -0.1, 0.05, 0.33].map((share): Call => [name, share])),
]

function pillow(image: Image): Uint8Array[] {
  const file = path.join(temporary(), 'image.raw')
  writeFileSync(file, image.data)
  const input = `${JSON.stringify({ file, width: image.width, height: image.height, calls })}\n`
  const script = path.join(import.meta.dirname, 'pillow.py')
  const output = execFileSync(python!, [script], { input, maxBuffer: 2 ** 30 })
  let at = 0
  return calls.map(([name, width, height]) => {
    const bytes = (name === 'resize' ? width * height : image.width * image.height) * 3
    at += bytes
    return output.subarray(at - bytes, at)
  })
}

async function images(): Promise<[string, Image][]> {
  const random = randomStream(1, 'pillow')
  const noise = { data: Uint8Array.from({ length: 61 * 47 * 3 }, () => random.int(256)), width: 61, height: 47 }
  const dim = { data: Uint8Array.from({ length: 61 * 47 * 3 }, () => 40 + random.int(90)), width: 61, height: 47 }
  const scene = { data: renderScene(drawScene(0, 'val', 2, 'easy', 64)).pixels, width: 64, height: 64 }
  const photographs = '/work/shared/real-samples/VOCdevkit/VOC2012/JPEGImages'
  if (!existsSync(photographs))
    return [
      ['noise', noise],
      ['dim noise', dim],
      ['a scene', scene],
    ]
  const photograph = await decodeImage(readFileSync(path.join(photographs, readdirSync(photographs)[0])))
  return [
    ['noise', noise],
    ['dim noise', dim],
    ['a scene', scene],
    ['a photograph', photograph],
  ]
}

describe.skipIf(!python)('image operations against Pillow', async () => {
  it.each(python ? await images() : [])('are equal on %s', (_, image) => {
    const theirs = pillow(image)
    const worst: Record<string, number> = {}
    for (const [i, [name, ...args]] of calls.entries()) {
      const { data } = ours[name](image, ...args)
      expect(data).toHaveLength(theirs[i].length)
      const difference = data.reduce((most, v, p) => Math.max(most, Math.abs(v - theirs[i][p])), 0)
      worst[name] = Math.max(worst[name] ?? 0, difference)
    }
    // Largest difference of 255 by operation.
    expect(worst).toEqual(Object.fromEntries(Object.keys(worst).map((name) => [name, 0])))
  })
})
