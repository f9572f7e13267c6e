import { type Canvas, shrink } from './canvas.ts'

/** How many colours a terminal shows: 24 bits, the palette of 256, or none. */
export type ColourDepth = 'true' | '256' | 'none'

const ESC = '\x1b['
const UPPER_HALF = '▀'
/** Brightness from dark to light where there are no colours. */
const SHADES = ' .:-=+*#%@'

/**
 * A picture as lines of text, at most `columns` wide and `lines` high: each character is two pixels, the upper in its
 * own colour, the lower as its background. Every line ends with the colours reset.
 */
export function halfBlocks(canvas: Canvas, columns: number, lines: number, depth: ColourDepth): string[] {
  const scale = Math.min(columns / canvas.width, (2 * lines) / canvas.height, 1)
  const width = Math.max(1, Math.floor(canvas.width * scale))
  const height = Math.max(2, 2 * Math.floor((canvas.height * scale) / 2))
  const small = shrink(canvas, width, height)
  return Array.from({ length: height / 2 }, (_, line) => {
    let text = ''
    let last = ''
    for (let x = 0; x < width; x++) {
      const upper = pixel(small, x, 2 * line)
      const lower = pixel(small, x, 2 * line + 1)
      if (depth === 'none') {
        const light = (brightness(upper) + brightness(lower)) / 2
        text += SHADES[Math.min(SHADES.length - 1, Math.floor((light / 256) * SHADES.length))]
        continue
      }
      const colours =
        depth === 'true'
          ? `${ESC}38;2;${upper.join(';')};48;2;${lower.join(';')}m`
          : `${ESC}38;5;${cube(upper)};48;5;${cube(lower)}m`
      text += colours === last ? UPPER_HALF : colours + UPPER_HALF
      last = colours
    }
    return depth === 'none' ? text : `${text}${ESC}0m`
  })
}

type Pixel = [r: number, g: number, b: number]

const brightness = ([r, g, b]: Pixel): number => 0.3 * r + 0.6 * g + 0.1 * b

/** Nearest colour of the 6 × 6 × 6 cube of the 256-colour palette, or of its greys. */
function cube([r, g, b]: Pixel): number {
  const spread = Math.max(r, g, b) - Math.min(r, g, b)
  if (spread < 12) {
    const grey = Math.round((r + g + b) / 3)
    if (grey < 4) return 16
    if (grey > 246) return 231
    return 232 + Math.min(23, Math.max(0, Math.round((grey - 8) / 10)))
  }
  const level = (v: number) => (v < 48 ? 0 : v < 115 ? 1 : Math.floor((v - 35) / 40))
  return 16 + 36 * level(r) + 6 * level(g) + level(b)
}

function pixel({ width, data }: Canvas, x: number, y: number): Pixel {
  const at = 3 * (y * width + x)
  return [data[at], data[at + 1], data[at + 2]]
}
