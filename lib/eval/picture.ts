import { beside, blank, type Canvas, enlarge, stacked, textHeight, textWidth, write } from './canvas.ts'
import { colourOf, type Rgb } from './palette.ts'

/** What a picture of a segmented image shows. All maps have one entry a pixel of the image. */
export type Picture = {
  image: Canvas
  /** Group of each pixel after each stage. */
  stages: Int32Array[]
  labels: Uint8Array
  /** The mask, where there is one; 255 is left as in the image. */
  mask: Uint8Array | null
  classNames: readonly string[]
  colours: readonly Rgb[]
}

/** Small images are enlarged until their short side has about this many pixels. */
const READABLE = 192
const GAP = 8
const WHITE: Rgb = [255, 255, 255]
const BLACK: Rgb = [0, 0, 0]

/** The input, the groups of each stage, the labels and the mask side by side with captions, the legend below. */
export function drawPicture(picture: Picture): Canvas {
  const { image, stages, labels, mask, classNames, colours } = picture
  const factor = Math.max(1, Math.round(READABLE / Math.min(image.width, image.height)))
  const large = enlarge(image, factor)
  const grow = <T extends Int32Array | Uint8Array>(map: T): T => enlargeMap(map, image.width, image.height, factor)
  const named = paintRegions(large, grow(labels), (c) => colours[c] ?? null)
  nameRegions(named, grow(labels), classNames, colours)
  const panels = [
    captioned(large, 'image'),
    ...stages.map((groups, i) => captioned(paintRegions(large, grow(groups), colourOf), `stage ${i + 1}`)),
    captioned(named, 'labels'),
    ...(mask
      ? [
          captioned(
            paintRegions(large, grow(mask), (c) => colours[c] ?? null),
            'mask',
          ),
        ]
      : []),
  ]
  const strip = beside(panels, GAP)
  const shown = [...new Set([...labels, ...(mask ?? [])])].filter((c) => c < classNames.length).sort((a, b) => a - b)
  return stacked([strip, legend(shown, classNames, colours, strip.width)], GAP)
}

/** The same picture over time, one row a moment. */
export const filmStrip = (moments: readonly { caption: string; canvas: Canvas }[]): Canvas =>
  stacked(
    moments.map(({ caption, canvas }) => captioned(canvas, caption)),
    GAP,
  )

/** Colours over the image with the regions' borders drawn in white; `colour` gives null where the image stays. */
export function paintRegions(
  image: Canvas,
  regions: Int32Array | Uint8Array,
  colour: (region: number) => Rgb | null,
  opacity = 0.6,
): Canvas {
  const { width, height } = image
  const data = image.data.slice()
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const i = y * width + x
      const atBorder =
        (x + 1 < width && regions[i] !== regions[i + 1]) || (y + 1 < height && regions[i] !== regions[i + width])
      if (atBorder) {
        data.set(WHITE, 3 * i)
        continue
      }
      const own = colour(regions[i])
      if (own === null) continue
      for (let c = 0; c < 3; c++) data[3 * i + c] = Math.round(opacity * own[c] + (1 - opacity) * data[3 * i + c])
    }
  return { width, height, data }
}

function enlargeMap<T extends Int32Array | Uint8Array>(map: T, width: number, height: number, factor: number): T {
  if (factor === 1) return map
  const out = new (map.constructor as new (n: number) => T)(map.length * factor * factor)
  for (let y = 0; y < height * factor; y++)
    for (let x = 0; x < width * factor; x++)
      out[y * width * factor + x] = map[Math.floor(y / factor) * width + Math.floor(x / factor)]
  return out
}

/** Shares of the image that a region has at least to be named: the largest of its class, and any other. */
const NAMED = { largest: 0.005, other: 0.03 }

/** Writes its class on each large region, where it is widest. */
function nameRegions(canvas: Canvas, labels: Uint8Array, classNames: readonly string[], colours: readonly Rgb[]): void {
  const met = new Set<number>()
  for (const { label, area, x, y } of regionsOf(labels, canvas.width)) {
    const isLarge = area >= labels.length * (met.has(label) ? NAMED.other : NAMED.largest)
    met.add(label)
    const name = classNames[label]
    if (!isLarge || name === undefined) continue
    const inside = (at: number, size: number, room: number) =>
      Math.round(Math.max(2, Math.min(at - size / 2, room - size - 2)))
    tag(canvas, name, inside(x, textWidth(name), canvas.width), inside(y, textHeight(), canvas.height), colours[label])
  }
}

/** Text in its own box, black or white on the colour. */
function tag(canvas: Canvas, text: string, x: number, y: number, colour: Rgb): void {
  const [r, g, b] = colour
  for (let py = Math.max(0, y - 2); py < Math.min(canvas.height, y + textHeight() + 1); py++)
    for (let px = Math.max(0, x - 2); px < Math.min(canvas.width, x + textWidth(text) + 1); px++)
      canvas.data.set(colour, 3 * (py * canvas.width + px))
  write(canvas, text, x, y, 0.3 * r + 0.6 * g + 0.1 * b > 120 ? BLACK : WHITE)
}

/** A connected region of one label, and its pixel that lies farthest from any other region and from the outside. */
type Region = { label: number; area: number; x: number; y: number }

/** The connected regions of a label map (neighbours share a side), the largest first. */
export function regionsOf(labels: Uint8Array, width: number): Region[] {
  const depth = depthOf(labels, width)
  const seen = new Uint8Array(labels.length)
  const stack = new Int32Array(labels.length)
  const regions: Region[] = []
  for (let first = 0; first < labels.length; first++) {
    if (seen[first]) continue
    let [size, area, deepest] = [1, 0, first]
    stack[0] = first
    seen[first] = 1
    while (size > 0) {
      const i = stack[--size]
      area++
      if (depth[i] > depth[deepest]) deepest = i
      const x = i % width
      for (const next of [x > 0 ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width]) {
        if (next < 0 || next >= labels.length || seen[next] || labels[next] !== labels[i]) continue
        seen[next] = 1
        stack[size++] = next
      }
    }
    regions.push({ label: labels[first], area, x: deepest % width, y: Math.floor(deepest / width) })
  }
  return regions.sort((a, b) => b.area - a.area)
}

/** Steps over sides from each pixel to the nearest of another label or to the outside. */
function depthOf(labels: Uint8Array, width: number): Int32Array {
  const depth = new Int32Array(labels.length)
  const through = (i: number, next: number, isOutside: boolean) =>
    isOutside || labels[next] !== labels[i] ? 1 : depth[next] + 1
  for (let i = 0; i < labels.length; i++)
    depth[i] = Math.min(through(i, i - 1, i % width === 0), through(i, i - width, i < width))
  for (let i = labels.length - 1; i >= 0; i--) {
    const right = through(i, i + 1, i % width === width - 1)
    depth[i] = Math.min(depth[i], right, through(i, i + width, i + width >= labels.length))
  }
  return depth
}

function captioned(canvas: Canvas, caption: string): Canvas {
  const line = blank(Math.max(canvas.width, textWidth(caption)), textHeight() + 2, WHITE)
  write(line, caption, 0, 1, BLACK)
  return stacked([line, canvas], 0)
}

function legend(shown: readonly number[], names: readonly string[], colours: readonly Rgb[], width: number): Canvas {
  const box = textHeight()
  const entries = shown.map((c) => {
    const entry = blank(box + 4 + textWidth(names[c]) + 10, box + 4, WHITE)
    for (let y = 1; y <= box; y++) for (let x = 0; x < box; x++) entry.data.set(colours[c], 3 * (y * entry.width + x))
    write(entry, names[c], box + 4, 2, BLACK)
    return entry
  })
  const rows: Canvas[][] = [[]]
  let used = 0
  for (const entry of entries) {
    if (used + entry.width > width && used > 0) {
      rows.push([])
      used = 0
    }
    rows.at(-1)!.push(entry)
    used += entry.width
  }
  return stacked(
    rows.map((row) => (row.length > 0 ? beside(row, 0) : blank(width, 1, WHITE))),
    2,
  )
}
