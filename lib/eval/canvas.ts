import { encodeRgbPng } from '../data/png.ts'
import { GLYPH_HEIGHT, GLYPH_WIDTH, hasInk } from './font.ts'
import type { Rgb } from './palette.ts'

/** A picture in memory: RGB, one byte a channel, row by row. */
export type Canvas = { width: number; height: number; data: Uint8Array }

export function blank(width: number, height: number, [r, g, b]: Rgb): Canvas {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i += 3) {
    data[i] = r
    data[i + 1] = g
    data[i + 2] = b
  }
  return { width, height, data }
}

/** Each pixel `factor` times as wide and high. */
export function enlarge(canvas: Canvas, factor: number): Canvas {
  const [width, height] = [canvas.width * factor, canvas.height * factor]
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const from = 3 * (Math.floor(y / factor) * canvas.width + Math.floor(x / factor))
      data.set(canvas.data.subarray(from, from + 3), 3 * (y * width + x))
    }
  return { width, height, data }
}

/** A smaller picture: the mean over the area of each new pixel. */
export function shrink(canvas: Canvas, width: number, height: number): Canvas {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    const [top, bottom] = span(y, height, canvas.height)
    for (let x = 0; x < width; x++) {
      const [left, right] = span(x, width, canvas.width)
      for (let c = 0; c < 3; c++) {
        let sum = 0
        for (let row = top; row < bottom; row++)
          for (let column = left; column < right; column++) sum += canvas.data[3 * (row * canvas.width + column) + c]
        data[3 * (y * width + x) + c] = Math.round(sum / ((bottom - top) * (right - left)))
      }
    }
  }
  return { width, height, data }
}

/** The pixels of `from` that the i-th of `to` stands for; at least one. */
function span(i: number, to: number, from: number): [first: number, end: number] {
  const first = Math.min(from - 1, Math.floor((i * from) / to))
  return [first, Math.max(first + 1, Math.min(from, Math.floor(((i + 1) * from) / to)))]
}

/** Copies `part` into the canvas with its corner at (x, y); what lies outside is cut off. */
function paste(canvas: Canvas, part: Canvas, x: number, y: number): void {
  const width = Math.min(part.width, canvas.width - x)
  for (let row = 0; row < Math.min(part.height, canvas.height - y); row++) {
    const from = 3 * row * part.width
    canvas.data.set(part.data.subarray(from, from + 3 * width), 3 * ((y + row) * canvas.width + x))
  }
}

/** Side by side on white, aligned at the top. */
export function beside(parts: readonly Canvas[], gap: number): Canvas {
  const width = parts.reduce((sum, part) => sum + part.width, 0) + gap * (parts.length - 1)
  const out = blank(width, Math.max(...parts.map((part) => part.height)), [255, 255, 255])
  let x = 0
  for (const part of parts) {
    paste(out, part, x, 0)
    x += part.width + gap
  }
  return out
}

/** One below the other on white, aligned at the left. */
export function stacked(parts: readonly Canvas[], gap: number): Canvas {
  const height = parts.reduce((sum, part) => sum + part.height, 0) + gap * (parts.length - 1)
  const out = blank(Math.max(...parts.map((part) => part.width)), height, [255, 255, 255])
  let y = 0
  for (const part of parts) {
    paste(out, part, 0, y)
    y += part.height + gap
  }
  return out
}

export const textWidth = (text: string, scale = 1): number => text.length * GLYPH_WIDTH * scale
export const textHeight = (scale = 1): number => GLYPH_HEIGHT * scale

/** Writes ASCII text with its upper left corner at (x, y). */
export function write(canvas: Canvas, text: string, x: number, y: number, colour: Rgb, scale = 1): void {
  for (const [i, character] of [...text].entries())
    for (let dy = 0; dy < GLYPH_HEIGHT * scale; dy++)
      for (let dx = 0; dx < GLYPH_WIDTH * scale; dx++) {
        const [px, py] = [x + i * GLYPH_WIDTH * scale + dx, y + dy]
        if (px < 0 || py < 0 || px >= canvas.width || py >= canvas.height) continue
        if (hasInk(character, Math.floor(dx / scale), Math.floor(dy / scale)))
          canvas.data.set(colour, 3 * (py * canvas.width + px))
      }
}

export const encodePng = ({ data, width, height }: Canvas): Buffer => encodeRgbPng(data, width, height)
