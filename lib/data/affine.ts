import { IMAGE_MEAN, type Image } from './image.ts'

/** PIL's affine transforms with bilinear sampling, equal to Pillow's; what comes from outside is ImageNet's mean. */
type Matrix = readonly [number, number, number, number, number, number]

const FILL = IMAGE_MEAN.map((mean) => Math.round(255 * mean))

export const shearX = (image: Image, factor: number): Image => affine(image, [1, factor, 0, 0, 1, 0])
export const shearY = (image: Image, factor: number): Image => affine(image, [1, 0, 0, factor, 1, 0])
/** Moves by a share of the width (to the left where positive, as PIL's matrix maps output to input). */
export const translateX = (image: Image, share: number): Image => affine(image, [1, 0, share * image.width, 0, 1, 0])
export const translateY = (image: Image, share: number): Image => affine(image, [1, 0, 0, 0, 1, share * image.height])

/** Turns around the centre, counter-clockwise. */
export function rotate(image: Image, degrees: number): Image {
  // in Pillow's own order of operations, so that the last bits agree
  const positive = ((degrees % 360) + 360) % 360
  if (positive === 0) return image
  const angle = -(positive * (Math.PI / 180))
  const cos = round15(Math.cos(angle))
  const sin = round15(Math.sin(angle))
  const [x, y] = [image.width / 2, image.height / 2]
  return affine(image, [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y])
}

/** PIL rounds the matrix of a rotation to 15 digits. */
const round15 = (v: number): number => Number(v.toFixed(15))

function affine({ data, width, height }: Image, [a, b, c, d, e, f]: Matrix): Image {
  const out = new Uint8Array(data.length)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const inX = a * (x + 0.5) + b * (y + 0.5) + c
      const inY = d * (x + 0.5) + e * (y + 0.5) + f
      if (inX < 0 || inX >= width || inY < 0 || inY >= height) out.set(FILL, at)
      else sample(data, width, height, inX - 0.5, inY - 0.5, out, at)
    }
  }
  return { data: out, width, height }
}

/** Bilinear between four pixels, the border repeated; cut towards zero as PIL does. */
function sample(
  data: Uint8Array,
  width: number,
  height: number,
  x: number,
  y: number,
  out: Uint8Array,
  at: number,
): void {
  const [left, top] = [Math.floor(x), Math.floor(y)]
  const [dx, dy] = [x - left, y - top]
  const clipX = (v: number) => Math.min(width - 1, Math.max(0, v)) * 3
  const upper = Math.min(height - 1, Math.max(0, top)) * width * 3
  const lower = top + 1 >= 0 && top + 1 < height ? (top + 1) * width * 3 : upper
  const [x0, x1] = [clipX(left), clipX(left + 1)]
  for (let c = 0; c < 3; c++) {
    const first = data[upper + x0 + c] + (data[upper + x1 + c] - data[upper + x0 + c]) * dx
    const second = data[lower + x0 + c] + (data[lower + x1 + c] - data[lower + x0 + c]) * dx
    out[at + c] = first + (second - first) * dy
  }
}
