import { type RandomStream, randomStream } from '../../core/rng.ts'
import { captionOf } from './caption.ts'
import { SHAPES, THINGS, type Thing } from './shapes.ts'
import {
  APPEARANCE,
  type Backdrop,
  COLOR_NAMES,
  COLORS,
  type Color,
  isSecondColor,
  paintStuff,
  type Rgb,
  STUFF,
  TEXTURES,
  type Texture,
} from './textures.ts'

export type Tier = 'easy' | 'medium' | 'hard'
export type Split = 'train' | 'val' | 'test'

/** Probability that a thing wears its own colour and texture (FACTS of the study in docs/scenes.md). */
const BINDING: Record<Tier, number> = { easy: 1, medium: 0.9, hard: 0 }
/** Probabilities of one, two and three objects. */
const OBJECT_COUNTS = [0.2, 0.5, 0.3]
/** Radius of an object over the side of the image. */
const RADIUS = [0.19, 0.33] as const
/** Centres are at least this many times the sum of two radii apart: objects occlude each other in part, never wholly. */
const SEPARATION = 0.75
/** Half width in pixels of the border that masks leave out (255), as in PASCAL VOC. */
const BORDER = 0.75
const IGNORE = 255
/** Amplitude of the uniform noise on every pixel. */
const GRAIN = 6

type SceneObject = {
  thing: Thing
  color: Color
  texture: Texture
  /** Pixels. */
  x: number
  y: number
  radius: number
  /** Cosine and sine of the rotation. */
  turn: readonly [number, number]
  /** Width over height, about 1. */
  aspect: number
  base: Rgb
  second: Rgb
  /** Direction, offset and period (pixels) of the texture. */
  grain: { turn: readonly [number, number]; phase: number; period: number }
}

export type Scene = {
  size: number
  backdrop: Backdrop
  objects: SceneObject[]
  caption: string
  /** Continues the scene's stream for the noise on its pixels. */
  random: RandomStream
}

/** Scene `index` of a split: a function of its arguments alone, equal on every machine. */
export function drawScene(seed: number, split: Split, index: number, tier: Tier, size: number): Scene {
  const random = randomStream(seed, 'scene', tier, split, index)
  const stuff = random.pick(STUFF)
  const objects = placeObjects(1 + weighted(random, OBJECT_COUNTS), size, random, BINDING[tier])
  const backdrop = { stuff, seed: random.int(1e9), phase: random.uniform(), gain: between(random, 0.85, 1.15) }
  return { size, backdrop, objects, caption: captionOf(stuff, objects, random), random }
}

function placeObjects(count: number, size: number, random: RandomStream, binding: number): SceneObject[] {
  const objects: SceneObject[] = []
  for (let attempt = 0; objects.length < count && attempt < 60; attempt++) {
    const thing = random.pick(THINGS)
    if (objects.some((o) => o.thing === thing) && random.uniform() < 0.9) continue
    const radius = between(random, ...RADIUS) * size
    const x = between(random, radius * 0.8, size - radius * 0.8)
    const y = between(random, radius * 0.8, size - radius * 0.8)
    const tooClose = objects.some((o) => {
      const apart = SEPARATION * (o.radius + radius)
      return (o.x - x) * (o.x - x) + (o.y - y) * (o.y - y) < apart * apart
    })
    if (!tooClose) objects.push(dress({ thing, x, y, radius }, size, random, binding))
  }
  return objects
}

type Placed = Pick<SceneObject, 'thing' | 'x' | 'y' | 'radius'>

function dress(placed: Placed, size: number, random: RandomStream, binding: number): SceneObject {
  const bound = random.uniform() < binding
  const color = bound ? APPEARANCE[placed.thing].color : random.pick(COLOR_NAMES)
  const texture = bound ? APPEARANCE[placed.thing].texture : TEXTURES[weighted(random, [0.4, 0.25, 0.2, 0.15])]
  const base = COLORS[color].map((v) => clampByte(v + between(random, -16, 16))) as Rgb
  const second = base.map((v) => (v > 120 ? v * 0.45 : v * 0.5 + 120)) as Rgb
  return {
    ...placed,
    color,
    texture,
    turn: turnOf(between(random, -0.177, 0.177)), // about ±20°
    aspect: between(random, 0.88, 1.14),
    base,
    second,
    grain: {
      turn: turnOf(between(random, -1, 1)),
      phase: between(random, 0, 10),
      period: (between(random, 0.42, 0.62) * size) / 10,
    },
  }
}

/** Cosine and sine from the tangent of half the angle: exact arithmetic where Math.cos is not. */
function turnOf(tangent: number): readonly [number, number] {
  const square = tangent * tangent
  return [(1 - square) / (1 + square), (2 * tangent) / (1 + square)]
}

const between = (random: RandomStream, low: number, high: number): number => low + (high - low) * random.uniform()
const clampByte = (v: number): number => (v < 0 ? 0 : Math.min(v, 255))

function weighted(random: RandomStream, weights: readonly number[]): number {
  let left = random.uniform()
  for (let i = 0; i < weights.length - 1; i++) {
    left -= weights[i]
    if (left < 0) return i
  }
  return weights.length - 1
}

export type RenderedScene = {
  /** RGB, size × size × 3. */
  pixels: Uint8Array
  /** 0 background, 1…8 the things, 255 their borders. */
  things: Uint8Array
  /** 0…7 the things, 8…12 the stuff, 255 the borders of things. */
  context: Uint8Array
}

/** Draws a scene. May be called once: it consumes the scene's stream. */
export function renderScene({ size, objects, backdrop, random }: Scene): RenderedScene {
  const canvas = paintStuff(backdrop, size)
  const things = new Uint8Array(size * size)
  for (const object of objects) paintObject(object, size, canvas, things)

  const pixels = new Uint8Array(size * size * 3)
  const context = new Uint8Array(size * size)
  const stuffLabel = THINGS.length + STUFF.indexOf(backdrop.stuff)
  for (let i = 0; i < things.length; i++) {
    const grain = (random.uniform() * 2 - 1) * GRAIN
    for (let c = 3 * i; c < 3 * i + 3; c++) pixels[c] = Math.floor(clampByte(canvas[c] + grain) + 0.5)
    const label = things[i]
    context[i] = label === IGNORE ? IGNORE : label === 0 ? stuffLabel : label - 1
  }
  return { pixels, things, context }
}

/** Paints an object over the canvas [size, size, 3] and over the masks of those before it. */
function paintObject(object: SceneObject, size: number, canvas: Float64Array, things: Uint8Array): void {
  const distanceTo = SHAPES[object.thing]
  const label = THINGS.indexOf(object.thing) + 1
  const [cos, sin] = object.turn
  const reach = object.radius * 1.4143
  const first = (center: number) => Math.max(0, Math.floor(center - reach))
  const last = (center: number) => Math.min(size - 1, Math.floor(center + reach))
  for (let y = first(object.y); y <= last(object.y); y++) {
    for (let x = first(object.x); x <= last(object.x); x++) {
      const dx = x + 0.5 - object.x
      const dy = y + 0.5 - object.y
      const u = (cos * dx + sin * dy) / (object.radius * object.aspect)
      const v = ((cos * dy - sin * dx) * object.aspect) / object.radius
      const distance = distanceTo(u, v) * object.radius
      const cover = Math.min(1, Math.max(0, 0.5 - distance))
      const i = y * size + x
      if (cover > 0) blend(object, dx, dy, 1 - 0.12 * v, cover, canvas, 3 * i)
      if (Math.abs(distance) < BORDER) things[i] = IGNORE
      else if (distance < 0) things[i] = label
    }
  }
}

function blend(
  object: SceneObject,
  dx: number,
  dy: number,
  shade: number,
  cover: number,
  canvas: Float64Array,
  at: number,
): void {
  const { turn, phase, period } = object.grain
  const along = (turn[0] * dx + turn[1] * dy + phase) / period
  const across = (turn[0] * dy - turn[1] * dx + phase) / period
  const own = isSecondColor(object.texture, along, across) ? object.second : object.base
  for (let c = 0; c < 3; c++) canvas[at + c] = canvas[at + c] * (1 - cover) + own[c] * shade * cover
}
