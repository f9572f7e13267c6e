import { GLYPH_HEIGHT, GLYPH_WIDTH, hasInk } from '../eval/font.ts'
import { colourOf } from '../eval/palette.ts'

/** What the charts are made of: text, numbers on axes, colours. */

export type Anchor = 'start' | 'middle' | 'end'
/** Text as a piece of SVG with its baseline at y. */
export type WriteText = (words: string, x: number, y: number, anchor?: Anchor, colour?: string) => string
export type Extent = { low: number; high: number }

export const svgDocument = (width: number, height: number, parts: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`

/** Text in the reader's own font, or, `outlined`, as shapes in ours: for renderers on machines without fonts. */
export const textWriter = (outlined: boolean): WriteText => (outlined ? shapes : text)

/** About as wide as the text is drawn, in pixels. */
export const textReach = (words: string): number => words.length * GLYPH_WIDTH * SHAPE_SIZE

/** Colour and dashes of the i-th curve: told apart by colour-blind eyes and in grey. */
export function curveStyle(i: number): { colour: string; dashes: string } {
  const colour = cssColour(ON_WHITE[i % ON_WHITE.length])
  return { colour, dashes: DASHES[i % DASHES.length] }
}

const cssColour = (index: number): string => `rgb(${colourOf(index).join(',')})`

/** The palette without its yellow and light grey, which white paper swallows. */
const ON_WHITE = [4, 0, 2, 5, 1, 6, 7, 9, 10, 12, 13, 14, 15, 17]
const DASHES = ['', '8 4', '2 3', '10 3 2 3']
const SHAPE_SIZE = 1.25

/** The span of what is finite, never empty. */
export function extentOf(values: readonly number[]): Extent {
  const finite = values.filter(Number.isFinite)
  if (finite.length === 0) return { low: 0, high: 1 }
  const low = finite.reduce((a, b) => Math.min(a, b))
  const high = finite.reduce((a, b) => Math.max(a, b))
  return low === high ? { low: low - 0.5, high: high + 0.5 } : { low, high }
}

/** Round numbers inside an extent, about five of them. */
export function ticksOf({ low, high }: Extent): number[] {
  const raw = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10)
  const first = Math.ceil(low / step - 1e-9)
  const count = Math.floor(high / step + 1e-9) - first + 1
  return Array.from({ length: count }, (_, i) => (first + i) * step)
}

/** Round numbers of a logarithmic axis whose extent is in powers of ten: 1, 2 and 5 of each decade, or its 1 alone. */
export function logTicksOf({ low, high }: Extent): number[] {
  const decades = Array.from({ length: Math.floor(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i)
  const inside = (steps: readonly number[]) =>
    decades
      .flatMap((decade) => steps.map((step) => decade + Math.log10(step)))
      .filter((tick) => tick >= low && tick <= high)
  return decades.length > 4 ? inside([1]) : inside([1, 2, 5])
}

/** A coordinate with one decimal: a tenth of a pixel is below what is seen. */
export const round = (value: number): number => Math.round(value * 10) / 10
/** A number on an axis. */
export const tickText = (value: number): string => String(Number(value.toPrecision(3)))

function text(words: string, x: number, y: number, anchor: Anchor = 'start', colour = '#000'): string {
  const safe = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${colour}" font-family="sans-serif" font-size="12">${safe}</text>`
}

/** The text in our own dot-matrix font. */
function shapes(words: string, x: number, y: number, anchor: Anchor = 'start', colour = '#000'): string {
  const size = SHAPE_SIZE
  const width = textReach(words)
  const left = x - (anchor === 'start' ? 0 : anchor === 'end' ? width : width / 2)
  let path = ''
  for (const [i, character] of [...words].entries())
    for (let dy = 0; dy < GLYPH_HEIGHT; dy++)
      for (let dx = 0; dx < GLYPH_WIDTH; dx++)
        if (hasInk(character, dx, dy))
          path += `M${round(left + (i * GLYPH_WIDTH + dx) * size)} ${round(y + (dy - 7) * size)}h${size}v${size}h-${size}z`
  return `<path d="${path}" fill="${colour}"/>`
}
