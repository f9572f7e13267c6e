import {
  curveStyle,
  extentOf,
  logTicksOf,
  round,
  svgDocument,
  textReach,
  textWriter,
  ticksOf,
  tickText,
} from './svg.ts'

export type Line = {
  name: string
  x: readonly number[]
  y: readonly number[]
  /** Lower and upper edge of a band around the line, as the range over seeds. */
  band?: { low: readonly number[]; high: readonly number[] }
}

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

const MARGIN = { right: 16, bottom: 40, left: 64 }
const LEGEND_LINE = 17

/** Curves as an SVG document. A curve is told by its colour, which colour-blind eyes tell apart, and by its dashes. */
export function lineChart(lines: readonly Line[], options: ChartOptions): string {
  const { title, xLabel, width = 760, height = 440, log = false, outlined = false } = options
  const write = textWriter(outlined)
  const { places, rows } = placeLegend(lines, width)
  const top = 34 + LEGEND_LINE * rows
  const onAxis = (x: readonly number[], y: readonly number[]): Point[] =>
    x
      .map((at, i) => ({ x: at, y: y[i] }))
      .filter((point) => !log || !(point.y <= 0))
      .map((point) => (log ? { x: point.x, y: Math.log10(point.y) } : point))
  const curves = lines.map(({ x, y, band }) => ({
    points: onAxis(x, y),
    low: onAxis(x, band?.low ?? []).filter(({ y }) => Number.isFinite(y)),
    high: onAxis(x, band?.high ?? []).filter(({ y }) => Number.isFinite(y)),
  }))
  const drawn = curves.flatMap(({ points, low, high }) => [...points, ...low, ...high])
  const finite = drawn.filter(({ y }) => Number.isFinite(y))
  const xs = extentOf(finite.map(({ x }) => x))
  const ys = extentOf(finite.map(({ y }) => y))
  const px = (x: number) => MARGIN.left + ((x - xs.low) / (xs.high - xs.low)) * (width - MARGIN.left - MARGIN.right)
  const py = (y: number) =>
    height - MARGIN.bottom - ((y - ys.low) / (ys.high - ys.low)) * (height - top - MARGIN.bottom)
  const at = ({ x, y }: Point) => `${round(px(x))} ${round(py(y))}`

  const parts: string[] = [write(title, MARGIN.left, 20)]
  for (const tick of log ? logTicksOf(ys) : ticksOf(ys)) {
    const y = py(tick)
    parts.push(`<path d="M${MARGIN.left} ${round(y)}H${width - MARGIN.right}" stroke="#ddd"/>`)
    parts.push(write(tickText(log ? 10 ** tick : tick), MARGIN.left - 6, y + 4, 'end', '#444'))
  }
  for (const tick of ticksOf(xs)) {
    const x = px(tick)
    parts.push(`<path d="M${round(x)} ${height - MARGIN.bottom}v5" stroke="#444"/>`)
    parts.push(write(tickText(tick), x, height - MARGIN.bottom + 18, 'middle', '#444'))
  }
  parts.push(
    `<path d="M${MARGIN.left} ${top}V${height - MARGIN.bottom}H${width - MARGIN.right}" stroke="#444" fill="none"/>`,
  )
  parts.push(write(xLabel, width - MARGIN.right, height - 6, 'end', '#444'))
  for (const [i, { points, low, high }] of curves.entries()) {
    const { colour, dashes } = curveStyle(i)
    const style = `stroke="${colour}" stroke-width="1.8"${dashes && ` stroke-dasharray="${dashes}"`}`
    if (low.length > 1)
      parts.push(
        `<path d="M${[...low, ...high.toReversed()].map(at).join('L')}Z" fill="${colour}" fill-opacity="0.15"/>`,
      )
    parts.push(`<path d="${polyline(points, at)}" fill="none" ${style}/>`)
    // A curve of one point has no length to be seen by.
    if (points.length === 1 && Number.isFinite(points[0].y))
      parts.push(`<circle cx="${round(px(points[0].x))}" cy="${round(py(points[0].y))}" r="3" fill="${colour}"/>`)
    const { x, y } = places[i]
    parts.push(`<path d="M${x} ${y - 4}h28" ${style}/>`, write(lines[i].name, x + 34, y))
  }
  return svgDocument(width, height, parts)
}

type Point = { x: number; y: number }

/** A path that is interrupted where a value is not finite. */
function polyline(points: readonly Point[], at: (point: Point) => string): string {
  let pen = 'M'
  let path = ''
  for (const point of points) {
    if (Number.isFinite(point.y)) path += pen + at(point)
    pen = Number.isFinite(point.y) ? 'L' : 'M'
  }
  return path
}

/** Names from left to right below the title, in as many rows as they need. */
function placeLegend(lines: readonly Line[], width: number): { places: { x: number; y: number }[]; rows: number } {
  let [x, row] = [MARGIN.left, 0]
  const places = lines.map(({ name }) => {
    const reach = 34 + textReach(name) + 18
    if (x + reach > width && x > MARGIN.left) [x, row] = [MARGIN.left, row + 1]
    const place = { x, y: 38 + LEGEND_LINE * row }
    x += reach
    return place
  })
  return { places, rows: row + 1 }
}
