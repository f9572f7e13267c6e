import sharp, { type OverlayOptions } from 'sharp'
import type { Image } from './image.ts'
import type { Mask } from './mask.ts'
import { VOC_PALETTE } from './png.ts'

/** Contact sheets: cells of pictures side by side with a line of text below. */
export type SheetCell = { images: Image[]; text: string }

const SIDE = 128
const GAP = 8
const LINE = 14
const TEXT_LINES = 2

/** A PNG with `columns` cells a row, every picture scaled to 128 pixels a side at most. */
export async function drawSheet(cells: SheetCell[], columns: number): Promise<Buffer> {
  const perCell = Math.max(...cells.map((cell) => cell.images.length))
  const cellWidth = perCell * (SIDE + 2) + GAP
  const cellHeight = SIDE + TEXT_LINES * LINE + GAP
  const width = Math.min(columns, cells.length) * cellWidth + GAP
  const height = Math.ceil(cells.length / columns) * cellHeight + GAP
  const layers: OverlayOptions[] = []
  const lines: string[] = []
  for (const [i, { images, text }] of cells.entries()) {
    const left = GAP + (i % columns) * cellWidth
    const top = GAP + Math.floor(i / columns) * cellHeight
    for (const [k, image] of images.entries())
      layers.push({ input: await thumbnail(image), left: left + k * (SIDE + 2), top })
    const fitting = Math.floor((cellWidth - GAP) / 5.6)
    for (const [line, part] of wrap(text, fitting).entries())
      lines.push(`<text x="${left}" y="${top + SIDE + LINE * (line + 1) - 3}">${escapeXml(part)}</text>`)
  }
  const labels = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><g font-family="sans-serif" font-size="10.5" fill="#222">${lines.join('')}</g></svg>`
  return sharp({ create: { width, height, channels: 3, background: '#f4f4f2' } })
    .composite([...layers, { input: Buffer.from(labels), left: 0, top: 0 }])
    .png()
    .toBuffer()
}

/** Small images grow by whole pixels, large ones shrink. */
function thumbnail({ data, width, height }: Image): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(SIDE, SIDE, { fit: 'contain', background: '#dddddd', kernel: width < SIDE ? 'nearest' : 'lanczos3' })
    .png()
    .toBuffer()
}

/** The image of a mask in PASCAL VOC's colours. */
export function paintMask({ data, width, height }: Mask): Image {
  const pixels = new Uint8Array(data.length * 3)
  for (let i = 0; i < data.length; i++) pixels.set(VOC_PALETTE.subarray(data[i] * 3, data[i] * 3 + 3), i * 3)
  return { data: pixels, width, height }
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1]
    if (last !== '' && last.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  if (lines.length <= TEXT_LINES) return lines
  return [...lines.slice(0, TEXT_LINES - 1), `${lines[TEXT_LINES - 1].slice(0, width - 1)}…`]
}

const escapeXml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c)
