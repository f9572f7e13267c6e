import { GLYPH_HEIGHT, GLYPH_WIDTH, hasInk } from '../eval/font.ts'
import { colourOf } from '../eval/palette.ts'

export type Line = { name: string; x: readonly number[]; y: readonly number[] }

export type ChartOptions = {
  title: string
  xLabel: string
  width?: number
  height?: number
  /** Logarithmic y axis; what is not above 0 is left out. */
  log?: boolean
  /** Text as shapes: for renderers on machines without fonts. */
  outlined?: boolean
}

const MARGIN = { top: 34, right: 16, bottom: 40, left: 64 }
const DASHES = ['', '8 4', '2 3', '10 3 2 3']

/** Curves as an SVG document. A curve is told by its colour, which colour-blind eyes tell apart, and by its dashes. */
export function lineChart(lines: readonly Line[], options: ChartOptions): string {
  const { title, xLabel, width = 760, height = 440, log = false, outlined = false } = options
  const write = outlined ? shapes : text
  const visible = lines.map((line) => ({
    name: line.name,
    points: line.x.map((x, i) => ({ x, y: line.y[i] })).filter(({ y }) => !log || !(y <= 0)),
  }))
  const finite = visible.flatMap(({ points }) => points.filter(({ y }) => Number.isFinite(y)))
  const xs = extent(finite.map(({ x }) => x))
  const ys = extent(finite.map(({ y }) => (log ? Math.log10(y) : y)))
  const px = (x: number) => MARGIN.left + ((x - xs.low) / (xs.high - xs.low)) * (width - MARGIN.left - MARGIN.right)
  const py = (y: number) =>
    height - MARGIN.bottom - ((y - ys.low) / (ys.high - ys.low)) * (height - MARGIN.top - MARGIN.bottom)

  const parts: string[] = [write(title, MARGIN.left, 20, 'start', '#000')]
  for (const tick of ticks(ys)) {
    const y = py(tick)
    parts.push(`<path d="M${MARGIN.left} ${round(y)}H${width - MARGIN.right}" stroke="#ddd"/>`)
    parts.push(write(short(log ? 10 ** tick : tick), MARGIN.left - 6, y + 4, 'end', '#444'))
  }
  for (const tick of ticks(xs)) {
    const x = px(tick)
    parts.push(`<path d="M${round(x)} ${height - MARGIN.bottom}v5" stroke="#444"/>`)
    parts.push(write(short(tick), x, height - MARGIN.bottom + 18, 'middle', '#444'))
  }
  parts.push(
    `<path d="M${MARGIN.left} ${MARGIN.top}V${height - MARGIN.bottom}H${width - MARGIN.right}" stroke="#444" fill="none"/>`,
  )
  parts.push(write(xLabel, width - MARGIN.right, height - 6, 'end', '#444'))
  for (const [i, { name, points }] of visible.entries()) {
    const colour = `rgb(${colourOf(i).join(',')})`
    const dashes = DASHES[i % DASHES.length]
    const style = `stroke="${colour}" stroke-width="1.8"${dashes && ` stroke-dasharray="${dashes}"`}`
    let pen = 'M'
    let path = ''
    for (const { x, y } of points) {
      if (!Number.isFinite(y)) {
        pen = 'M'
        continue
      }
      path += `${pen}${round(px(x))} ${round(py(log ? Math.log10(y) : y))}`
      pen = 'L'
    }
    parts.push(`<path d="${path}" fill="none" ${style}/>`)
    const at = { x: width - MARGIN.right - 150, y: MARGIN.top + 12 + 16 * i }
    parts.push(`<path d="M${at.x} ${at.y - 4}h28" ${style}/>`, write(name, at.x + 34, at.y, 'start', '#000'))
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`
}

type Extent = { low: number; high: number }
type Anchor = 'start' | 'middle' | 'end'

function extent(values: readonly number[]): Extent {
  if (values.length === 0) return { low: 0, high: 1 }
  const low = values.reduce((a, b) => Math.min(a, b))
  const high = values.reduce((a, b) => Math.max(a, b))
  return low === high ? { low: low - 0.5, high: high + 0.5 } : { low, high }
}

/** Round numbers inside an extent, about five of them. */
function ticks({ low, high }: Extent): number[] {
  const raw = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10)
  const first = Math.ceil(low / step - 1e-9)
  const count = Math.floor(high / step + 1e-9) - first + 1
  return Array.from({ length: count }, (_, i) => (first + i) * step)
}

const round = (value: number): number => Math.round(value * 10) / 10
const short = (value: number): string => String(Number(value.toPrecision(3)))

function text(words: string, x: number, y: number, anchor: Anchor, colour: string): string {
  const safe = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="${colour}" font-family="sans-serif" font-size="12">${safe}</text>`
}

/** The text in our own dot-matrix font. */
function shapes(words: string, x: number, y: number, anchor: Anchor, colour: string): string {
  const size = 1.25
  const width = words.length * GLYPH_WIDTH * size
  const left = x - (anchor === 'start' ? 0 : anchor === 'end' ? width : width / 2)
  let path = ''
  for (const [i, character] of [...words].entries())
    for (let dy = 0; dy < GLYPH_HEIGHT; dy++)
      for (let dx = 0; dx < GLYPH_WIDTH; dx++)
        if (hasInk(character, dx, dy))
          path += `M${round(left + (i * GLYPH_WIDTH + dx) * size)} ${round(y + (dy - 7) * size)}h${size}v${size}h-${size}z`
  return `<path d="${path}" fill="${colour}"/>`
}
