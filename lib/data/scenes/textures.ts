import type { Thing } from './shapes.ts'

/** Colours and textures of things, and the kinds of stuff behind them. Arithmetic as in shapes.ts: exact everywhere. */
export type Rgb = [number, number, number]

export const COLORS = {
  red: [205, 45, 45],
  orange: [230, 130, 35],
  yellow: [228, 208, 50],
  green: [60, 165, 70],
  blue: [50, 90, 210],
  purple: [135, 60, 175],
  pink: [235, 130, 175],
  white: [236, 236, 232],
  black: [34, 34, 38],
  brown: [120, 78, 42],
} satisfies Record<string, Rgb>
export type Color = keyof typeof COLORS
export const COLOR_NAMES = Object.keys(COLORS) as Color[]

export const TEXTURES = ['plain', 'striped', 'dotted', 'checkered'] as const
export type Texture = (typeof TEXTURES)[number]

/** What a thing looks like where colour and texture are bound to it. */
export const APPEARANCE: Record<Thing, { color: Color; texture: Texture }> = {
  circle: { color: 'red', texture: 'plain' },
  square: { color: 'yellow', texture: 'striped' },
  triangle: { color: 'blue', texture: 'dotted' },
  star: { color: 'white', texture: 'checkered' },
  cross: { color: 'purple', texture: 'plain' },
  ring: { color: 'green', texture: 'striped' },
  heart: { color: 'black', texture: 'dotted' },
  moon: { color: 'orange', texture: 'checkered' },
}

export const STUFF = ['grass', 'sand', 'water', 'brick', 'night'] as const
export type Stuff = (typeof STUFF)[number]

const { floor, imul } = Math
const fraction = (x: number): number => x - floor(x)

/** Whether the texture shows its second colour at (u, v), measured in periods. */
export function isSecondColor(texture: Texture, u: number, v: number): boolean {
  switch (texture) {
    case 'plain':
      return false
    case 'striped':
      return fraction(u) < 0.4
    case 'dotted': {
      const x = fraction(u) - 0.5
      const y = fraction(v) - 0.5
      return x * x + y * y < 0.09
    }
    case 'checkered':
      return ((floor(u) + floor(v)) & 1) === 0
  }
}

/** How a scene's stuff differs from other scenes'. */
export type Backdrop = { stuff: Stuff; seed: number; phase: number; gain: number }

/** The stuff all over the image: [size, size, 3] numbers around 0…255, patterns in units of 1/64 of the side. */
export function paintStuff({ stuff, seed, phase, gain }: Backdrop, size: number): Float64Array {
  const out = new Float64Array(size * size * 3)
  const unit = 64 / size
  const field = (periodX: number, periodY: number, offset: number) =>
    noiseField(size, unit / periodX, unit / periodY, seed + offset)
  const paint = (color: (i: number, x: number, y: number) => void) => {
    for (let y = 0, i = 0; y < size; y++) for (let x = 0; x < size; x++, i++) color(i, x * unit, y * unit)
  }
  const set = (i: number, r: number, g: number, b: number) => {
    out[3 * i] = r * gain
    out[3 * i + 1] = g * gain
    out[3 * i + 2] = b * gain
  }
  switch (stuff) {
    case 'grass': {
      const blades = field(1.6, 4, 0)
      const patches = field(9, 9, 1)
      paint((i) => {
        const shine = 50 * blades[i] + 20 * patches[i]
        set(i, 70 + 40 * blades[i] + 20 * patches[i], 112 + shine, 52 + 30 * blades[i])
      })
      return out
    }
    case 'sand': {
      const grains = field(1.2, 1.2, 0)
      const dunes = field(14, 14, 1)
      paint((i) =>
        set(i, 186 + 26 * grains[i] + 12 * dunes[i], 164 + 24 * grains[i] + 12 * dunes[i], 122 + 22 * grains[i]),
      )
      return out
    }
    case 'water': {
      const drift = field(7, 5, 0)
      const depth = field(12, 12, 1)
      paint((i, _x, y) => {
        const waves = 0.5 + 0.5 * wave(y / 13.2 + 0.7 * drift[i] + phase)
        set(i, 62 + 24 * waves, 112 + 26 * waves + 14 * depth[i], 150 + 36 * waves + 14 * depth[i])
      })
      return out
    }
    case 'brick': {
      paint((i, x, y) => {
        const row = floor(y / 6)
        const shifted = x + (row & 1 ? 5 : 0)
        const column = floor(shifted / 10)
        const mortar = y - row * 6 < 1.2 || shifted - column * 10 < 1.2
        const tone = mortar ? 0 : noise(column, row, seed)
        if (mortar) set(i, 168, 160, 150)
        else set(i, 132 + 34 * tone, 74 + 20 * tone, 60 + 16 * tone)
      })
      return out
    }
    case 'night': {
      const haze = field(2, 2, 0)
      paint((i, x, y) => {
        const star = noise(floor(x), floor(y), seed + 3) > 0.985
        if (star) set(i, 225, 225, 210)
        else set(i, 22 + 10 * haze[i], 24 + 10 * haze[i], 44 + 16 * haze[i])
      })
      return out
    }
  }
}

/** A sine made of two parabolas, period 1: Math.sin may differ between engines. */
function wave(x: number): number {
  const t = fraction(x)
  return t < 0.5 ? 16 * t * (0.5 - t) : -16 * (t - 0.5) * (1 - t)
}

/** U[0, 1) at an integer point. */
function noise(x: number, y: number, seed: number): number {
  let h = imul(x, 374761393) ^ imul(y, 668265263) ^ imul(seed, 2246822519)
  h = imul(h ^ (h >>> 13), 1274126177)
  return ((h ^ (h >>> 16)) >>> 0) / 4294967296
}

/** Value noise on the image, [size, size]: random numbers on a lattice with these steps a pixel, blended by smoothstep. */
function noiseField(size: number, stepX: number, stepY: number, seed: number): Float64Array {
  const columns = floor((size - 1) * stepX) + 2
  const rows = floor((size - 1) * stepY) + 2
  const lattice = new Float64Array(columns * rows)
  for (let y = 0, i = 0; y < rows; y++) for (let x = 0; x < columns; x++, i++) lattice[i] = noise(x, y, seed)
  const out = new Float64Array(size * size)
  for (let y = 0, i = 0; y < size; y++) {
    const top = floor(y * stepY)
    const v = smoothstep(y * stepY - top)
    for (let x = 0; x < size; x++, i++) {
      const left = floor(x * stepX)
      const u = smoothstep(x * stepX - left)
      const at = top * columns + left
      const upper = lattice[at] + (lattice[at + 1] - lattice[at]) * u
      const lower = lattice[at + columns] + (lattice[at + columns + 1] - lattice[at + columns]) * u
      out[i] = upper + (lower - upper) * v
    }
  }
  return out
}

const smoothstep = (t: number): number => t * t * (3 - 2 * t)
