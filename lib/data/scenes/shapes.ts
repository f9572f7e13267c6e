/**
 * The things of a scene as signed distance functions: negative inside, about one unit of radius, y pointing down.
 * Only + - * / and sqrt, abs, min, max: IEEE 754 defines them to the bit, so that every engine draws the same pixels
 * (Math.sin, pow, exp and hypot may differ).
 */
export const THINGS = ['circle', 'square', 'triangle', 'star', 'cross', 'ring', 'heart', 'moon'] as const
export type Thing = (typeof THINGS)[number]

const { abs, max, min, sqrt } = Math
const length = (x: number, y: number): number => sqrt(x * x + y * y)
const clamp = (x: number, low: number, high: number): number => (x < low ? low : min(x, high))
const sign = (x: number): number => (x < 0 ? -1 : 1)

const SQRT3 = sqrt(3)
/** Directions of a five-pointed star: cos and sin of 36°. */
const STAR_X = 0.809016994375
const STAR_Y = 0.587785252292

const circle = (x: number, y: number): number => length(x, y) - 0.9

function square(x: number, y: number): number {
  const dx = abs(x) - 0.78
  const dy = abs(y) - 0.78
  return length(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0)
}

function triangle(x: number, y: number): number {
  const side = 0.95
  let px = abs(x) - side
  let py = side / SQRT3 - y
  if (px + SQRT3 * py > 0) {
    const folded = (px - SQRT3 * py) / 2
    py = (-SQRT3 * px - py) / 2
    px = folded
  }
  px -= clamp(px, -2 * side, 0)
  return -length(px, py) * sign(py)
}

function star(x: number, y: number): number {
  const outer = 1.05
  const inner = 0.42
  let px = abs(x)
  let py = -y
  // fold the plane into one tenth of the star
  const first = 2 * max(STAR_X * px - STAR_Y * py, 0)
  px -= first * STAR_X
  py += first * STAR_Y
  const second = 2 * max(-STAR_X * px - STAR_Y * py, 0)
  px += second * STAR_X
  py += second * STAR_Y
  px = abs(px)
  py -= outer
  const ax = inner * STAR_Y
  const ay = inner * STAR_X - 1
  const along = clamp((px * ax + py * ay) / (ax * ax + ay * ay), 0, outer)
  return length(px - ax * along, py - ay * along) * sign(py * ax - px * ay)
}

function cross(x: number, y: number): number {
  const half = 0.32
  const horizontal = max(abs(x) - 1, abs(y) - half)
  const vertical = max(abs(x) - half, abs(y) - 1)
  return min(horizontal, vertical)
}

const ring = (x: number, y: number): number => abs(length(x, y) - 0.72) - 0.24

function heart(x: number, y: number): number {
  const scale = 0.98
  const px = abs(x) / scale
  const py = 0.55 - y / scale
  if (px + py > 1) return (length(px - 0.25, py - 0.75) - sqrt(2) / 4) * scale
  const middle = max(px + py, 0) * 0.5
  return min(length(px, py - 1), length(px - middle, py - middle)) * sign(px - py) * scale
}

const moon = (x: number, y: number): number => max(length(x, y) - 0.95, 0.78 - length(x - 0.55, y + 0.1))

/** Distance to the outline of a thing at (x, y), in units of its radius. */
export const SHAPES: Record<Thing, (x: number, y: number) => number> = {
  circle,
  square,
  triangle,
  star,
  cross,
  ring,
  heart,
  moon,
}
