import type { Session } from '../test/tui/pty.ts'

/** What a terminal shows, with its colours, as an SVG document. */

const CELL = { width: 8.4, height: 18, fontSize: 14 }
const PADDING = 14
const COLOURS = { paper: '#16181d', ink: '#d7dae0', dim: '#868b96' }
/** The sixteen basic colours by their number, for programs that name them so. */
const BASIC = ['#3b4048', '#d55e00', '#009e73', '#e69f00', '#0072b2', '#cc79a7', '#56b4e9', '#d7dae0']

type Cell = { chars: string; colour: string; background: string | null; bold: boolean }

/** The visible screen of a session. */
export function terminalSvg({ terminal }: Session): string {
  const { cols: columns, rows } = terminal
  const width = columns * CELL.width + 2 * PADDING
  const height = rows * CELL.height + 2 * PADDING
  const body: string[] = []
  for (let y = 0; y < rows; y++) {
    const cells = cellsOf(terminal, y, columns)
    for (let x = 0; x < columns; ) {
      let end = x + 1
      while (end < columns && sameStyle(cells[x], cells[end])) end++
      body.push(...drawRun(cells.slice(x, end), x, y))
      x = end
    }
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width.toFixed(0)} ${height}" font-family="'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace" font-size="${CELL.fontSize}">`,
    `<rect width="100%" height="100%" rx="8" fill="${COLOURS.paper}"/>`,
    ...body,
    '</svg>\n',
  ].join('\n')
}

function sameStyle(a: Cell, b: Cell): boolean {
  return a.colour === b.colour && a.background === b.background && a.bold === b.bold
}

function drawRun(cells: readonly Cell[], x: number, y: number): string[] {
  const [{ colour, background, bold }] = cells
  const left = (PADDING + x * CELL.width).toFixed(1)
  const width = (cells.length * CELL.width).toFixed(1)
  const top = PADDING + y * CELL.height
  const text = cells.map(({ chars }) => (isBraille(chars) || isHalf(chars) ? ' ' : chars)).join('')
  const out: string[] = []
  const dots = cells.flatMap(({ chars }, i) => brailleDots(chars, PADDING + (x + i) * CELL.width, top))
  if (dots.length > 0)
    out.push(`<path d="${dots.join('')}" stroke="${colour}" stroke-width="2.2" stroke-linecap="round"/>`)
  if (background !== null)
    out.push(`<rect x="${left}" y="${top}" width="${width}" height="${CELL.height}" fill="${background}"/>`)
  const half = cells.flatMap(({ chars }, i) =>
    isHalf(chars)
      ? [`M${(PADDING + (x + i) * CELL.width).toFixed(1)} ${top}h${CELL.width}v${CELL.height / 2}h-${CELL.width}z`]
      : [],
  )
  if (half.length > 0) out.push(`<path d="${half.join('')}" fill="${colour}"/>`)
  // the length is forced, so that no font can move the columns
  if (text.trim() !== '')
    out.push(
      `<text x="${left}" y="${top + 14}" textLength="${width}" lengthAdjust="spacingAndGlyphs" xml:space="preserve" fill="${colour}"${bold ? ' font-weight="bold"' : ''}>${escapeXml(text)}</text>`,
    )
  return out
}

function cellsOf(terminal: Session['terminal'], y: number, columns: number): Cell[] {
  const line = terminal.buffer.active.getLine(terminal.buffer.active.baseY + y)
  return Array.from({ length: columns }, (_, x): Cell => {
    const cell = line?.getCell(x)
    if (!cell) return { chars: ' ', colour: COLOURS.ink, background: null, bold: false }
    const number = cell.getFgColor()
    const own = cell.isFgRGB()
      ? hex(number)
      : cell.isFgPalette() && number < 16
        ? BASIC[number % 8]
        : cell.isDim()
          ? COLOURS.dim
          : COLOURS.ink
    const inverse = cell.isInverse() !== 0
    return {
      chars: cell.getChars() || ' ',
      colour: inverse ? COLOURS.paper : own,
      background: inverse ? own : cell.isBgRGB() ? hex(cell.getBgColor()) : null,
      bold: cell.isBold() !== 0,
    }
  })
}

const hex = (colour: number): string => `#${colour.toString(16).padStart(6, '0')}`

/** The upper half of a cell, of which pictures are made. */
function isHalf(chars: string): boolean {
  return chars === '▀'
}

function isBraille(chars: string): boolean {
  return chars >= '\u2800' && chars <= '\u28ff'
}

/** Drawn as dots, because few fonts have braille of the width of their letters. Bits by row and column as Unicode has them. */
function brailleDots(chars: string, left: number, top: number): string[] {
  if (!isBraille(chars)) return []
  const bits = chars.charCodeAt(0) - 0x2800
  return [
    [0x01, 0x08],
    [0x02, 0x10],
    [0x04, 0x20],
    [0x40, 0x80],
  ].flatMap((row, y) =>
    row.flatMap((bit, x) =>
      bits & bit
        ? [`M${(left + (x + 0.5) * (CELL.width / 2)).toFixed(1)} ${(top + (y + 0.5) * (CELL.height / 4)).toFixed(1)}h0`]
        : [],
    ),
  )
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
