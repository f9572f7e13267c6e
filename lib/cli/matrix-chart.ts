import { colourOf } from '../eval/palette.ts'
import { round, svgDocument, textReach, textWriter } from './svg.ts'

/** Cells in which a number can be read. */
const READABLE = 26
const TITLE = 30

/**
 * A matrix of shares as an SVG document: the darker a cell, the larger its share of the row. Names of the rows stand at
 * the left, of the columns above, turned.
 */
export function matrixChart(
  shares: readonly (readonly number[])[],
  names: readonly string[],
  { title, rows, columns, outlined = false }: { title: string; rows: string; columns: string; outlined?: boolean },
): string {
  const write = textWriter(outlined)
  const cell = Math.max(9, Math.min(36, Math.floor(900 / names.length)))
  const reach = Math.max(textReach(rows), ...names.map(textReach))
  const [left, top] = [reach + 20, TITLE + 0.9 * reach + 28]
  const size = cell * names.length
  const width = Math.ceil(left + Math.max(size + 0.6 * reach + 20, textReach(title)))
  const height = Math.ceil(top + size + 16)
  const [r, g, b] = colourOf(4) // blue: dark enough to be read in grey
  const parts = [write(title, 12, 20), write(rows, left - 8, top - 8, 'end', '#444')]
  parts.push(write(columns, left + size, top - 0.9 * reach - 12, 'end', '#444'))
  for (const [i, name] of names.entries()) {
    const middle = (i + 0.5) * cell
    parts.push(write(name, left - 8, top + middle + 4, 'end'))
    const [x, y] = [round(left + middle), round(top - 8)]
    parts.push(`<g transform="rotate(-60 ${x} ${y})">${write(name, x, y)}</g>`)
  }
  for (const [row, values] of shares.entries())
    for (const [column, share] of values.entries()) {
      const [x, y] = [left + column * cell, top + row * cell]
      const tint = [r, g, b].map((channel) => Math.round(255 + share * (channel - 255))).join(',')
      parts.push(
        `<rect x="${round(x)}" y="${round(y)}" width="${cell}" height="${cell}" fill="rgb(${tint})" stroke="#eee" stroke-width="0.5"/>`,
      )
      const percent = Math.round(100 * share)
      if (cell >= READABLE && percent > 0)
        parts.push(write(String(percent), x + cell / 2, y + cell / 2 + 4, 'middle', share > 0.55 ? '#fff' : '#000'))
    }
  // What was found right, framed after the cells, which would cover half of each frame.
  for (const i of names.keys())
    parts.push(
      `<rect x="${round(left + i * cell)}" y="${round(top + i * cell)}" width="${cell}" height="${cell}" fill="none" stroke="#000"/>`,
    )
  return svgDocument(width, height, parts)
}
