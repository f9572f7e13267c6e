import { expect, test } from 'vitest'
import { decodeImage } from '../../lib/data/image.ts'
import { blank, encodePng, textHeight, write } from '../../lib/eval/canvas.ts'
import { hasInk } from '../../lib/eval/font.ts'
import { classColours, colourOf } from '../../lib/eval/palette.ts'
import { drawPicture, filmStrip, paintRegions, regionsOf } from '../../lib/eval/picture.ts'

const [width, height] = [32, 24]
const image = blank(width, height, [100, 100, 100])
const halves = Uint8Array.from({ length: width * height }, (_, i) => (i % width < width / 2 ? 0 : 1))
const picture = {
  image,
  stages: [Int32Array.from(halves), Int32Array.from(halves)],
  labels: halves,
  mask: halves.map((c, i) => (i < width ? 255 : c)),
  classNames: ['background', 'cat'],
  colours: classColours(2, true),
}

test('a picture has the image, each stage, the labels and the mask, and can be read again', async () => {
  const canvas = drawPicture(picture)
  expect(canvas.data.length).toBe(canvas.width * canvas.height * 3)
  const read = await decodeImage(encodePng(canvas))
  expect(Buffer.compare(read.data, canvas.data)).toBe(0)
  const withoutMask = drawPicture({ ...picture, mask: null })
  expect(withoutMask.width).toBeLessThan(canvas.width)
})

test('regions keep apart by a line, and pixels without a colour stay as they were', () => {
  const painted = paintRegions(image, halves, (c) => (c === 1 ? [0, 0, 255] : null))
  const at = (x: number) => [...painted.data.subarray(3 * x, 3 * x + 3)]
  expect(at(3)).toEqual([100, 100, 100])
  expect(at(width / 2 - 1)).toEqual([255, 255, 255])
  expect(at(width - 2)[2]).toBeGreaterThan(at(width - 2)[0])
})

test('the colours of the first 18 groups are all different, and a group keeps its own', () => {
  expect(new Set(Array.from({ length: 36 }, (_, g) => colourOf(g).join()))).toHaveProperty('size', 36)
  expect(classColours(3, true)[2]).toEqual(colourOf(1))
})

test('text is drawn, what does not fit is cut', () => {
  const canvas = blank(10, 8, [255, 255, 255])
  write(canvas, 'Il', -2, 0, [0, 0, 0])
  expect(canvas.data.filter((v) => v === 0).length).toBeGreaterThan(0)
  expect(hasInk('I', 2, 3)).toBe(true)
  expect(hasInk(' ', 2, 3)).toBe(false)
})

test('a film strip is as high as its moments', () => {
  const strip = filmStrip([1, 2, 3].map((step) => ({ caption: `step ${step}`, canvas: image })))
  expect(strip.height).toBeGreaterThan(3 * height)
})

test('regions are found by their sides, the largest first, each with the place where it is widest', () => {
  const rows = [
    '1110000000', //
    '1110000000',
    '1110000000',
    '0001000000',
    '0000000022',
    '0000000022',
  ]
  const labels = Uint8Array.from(rows.join(''), Number)
  const regions = regionsOf(labels, 10)
  expect(regions.map(({ label, area }) => [label, area])).toEqual([
    [0, 60 - 9 - 1 - 4],
    [1, 9],
    [2, 4],
    [1, 1],
  ])
  expect(regions[1]).toMatchObject({ x: 1, y: 1 })
  for (const { label, x, y } of regions) expect(labels[10 * y + x]).toBe(label)
})

test('a class is named on its largest region, also where the middle of the class lies elsewhere', () => {
  const size = 200
  const flat = blank(size, size, [100, 100, 100])
  // cat: the lower third, and a speck of 1 % in the middle of what is left
  const labels = Uint8Array.from({ length: size * size }, (_, i) => {
    const [x, y] = [i % size, Math.floor(i / size)]
    return y > 140 || (Math.abs(x - 100) < 10 && Math.abs(y - 110) < 10) ? 1 : 0
  })
  const drawn = drawPicture({ ...picture, image: flat, stages: [], labels, mask: null })
  const plain = paintRegions(flat, labels, (c) => picture.colours[c])
  const [left, top] = [size + 8, textHeight() + 2] // the second panel, below its caption
  const isWritten = (y: number) =>
    Array.from({ length: size }, (_, x) => x).some((x) => {
      const at = 3 * ((top + y) * drawn.width + left + x)
      return [0, 1, 2].some((c) => drawn.data[at + c] !== plain.data[3 * (y * size + x) + c])
    })
  const lines = Array.from({ length: size }, (_, y) => y).filter(isWritten)
  expect(lines.filter((y) => y > 95 && y < 125)).toEqual([])
  expect(lines.some((y) => y > 145)).toBe(true)
})
