import { pad, textWidth } from './format.ts'
import { highlight, type Line, type Span, span, type Tone } from './lines.ts'

/** A column of a table on the screen. The least important ones go first when there is no room. */
export type Column<T> = {
  title: string
  /** 0 is always there; the higher, the sooner it is left out. */
  priority: number
  align?: 'left' | 'right'
  /** Narrowest useful width; such a column takes what is left and may be cut with …. */
  flexible?: number
  cell: (row: T) => { text: string; tone?: Tone }
}

/** Header and rows; as many columns as fit in `width`. `selected` is an index into `rows`. */
export function tableLines<T>(rows: readonly T[], columns: readonly Column<T>[], width: number, selected = -1): Line[] {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)))
  const natural = columns.map((column, c) =>
    Math.max(textWidth(column.title), ...cells.map((row) => textWidth(row[c].text))),
  )
  const least = columns.map((column, c) =>
    column.flexible === undefined ? natural[c] : Math.min(natural[c], column.flexible),
  )
  let shown = columns.map((_, c) => c)
  const needed = () => shown.reduce((sum, c) => sum + least[c], 0) + 2 * (shown.length - 1)
  while (needed() > width && shown.some((c) => columns[c].priority > 0)) {
    const worst = Math.max(...shown.map((c) => columns[c].priority))
    const last = shown.findLast((c) => columns[c].priority === worst)
    shown = shown.filter((c) => c !== last)
  }
  let spare = width - needed()
  const widths = new Map(
    shown.map((c) => {
      const more = Math.max(0, Math.min(spare, natural[c] - least[c]))
      spare -= more
      return [c, Math.min(width, least[c] + more)]
    }),
  )
  const row = (make: (c: number) => Span): Line => shown.flatMap((c, i) => [...(i > 0 ? [span('  ')] : []), make(c)])
  const header = row((c) => span(pad(columns[c].title, widths.get(c) ?? 0, columns[c].align), 'dim'))
  return [
    header,
    ...cells.map((cell, r) => {
      const l = row((c) => span(pad(cell[c].text, widths.get(c) ?? 0, columns[c].align), cell[c].tone ?? 'plain'))
      return r === selected ? highlight(l, width) : l
    }),
  ]
}

/** The part of a list of `count` that a window of `height` shows so that `selected` is in it. */
export function windowOf(count: number, height: number, selected: number): { from: number; to: number } {
  if (count <= height) return { from: 0, to: count }
  const from = Math.max(0, Math.min(count - height, selected - Math.floor(height / 2)))
  return { from, to: from + height }
}
