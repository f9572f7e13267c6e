import { pad, textWidth, truncate } from './format.ts'

/**
 * The screens are lists of lines, a line is a list of spans: pure data, compared as text in tests and coloured in one place.
 * No meaning is carried by a colour alone.
 */
export type Tone =
  | 'plain'
  | 'dim'
  | 'title'
  | 'good'
  | 'bad'
  | 'warn'
  | 'accent'
  | 'selected'
  | `series${0 | 1 | 2 | 3 | 4 | 5 | 6}`
export type Span = {
  text: string
  tone: Tone
  /** The text with colours of its own, as wide as the text: a row of a picture. */
  ansi?: string
}
export type Line = readonly Span[]

export const SERIES_TONES = ['series0', 'series1', 'series2', 'series3', 'series4', 'series5', 'series6'] as const

export const span = (text: string, tone: Tone = 'plain'): Span => ({ text, tone })
export const line = (...spans: (Span | string)[]): Line => spans.map((s) => (typeof s === 'string' ? span(s) : s))
export const EMPTY: Line = []

export const lineWidth = (l: Line): number => l.reduce((sum, s) => sum + textWidth(s.text), 0)
export const plainText = (l: Line): string => l.map((s) => s.text).join('')

/** The line in at most `width` columns, with … at the cut. */
export function truncateLine(l: Line, width: number): Line {
  if (lineWidth(l) <= width) return l
  const out: Span[] = []
  let left = width
  for (const s of l) {
    const w = textWidth(s.text)
    // an exact fit still needs the … when something follows, and something does: the line is too wide
    if (w >= left) {
      out.push({ ...s, text: w === left ? truncate(`${s.text}  `, left) : truncate(s.text, left) })
      break
    }
    out.push(s)
    left -= w
  }
  return out
}

/** The line in exactly `width` columns. */
function fitLine(l: Line, width: number): Line {
  const cut = truncateLine(l, width)
  const space = width - lineWidth(cut)
  return space > 0 ? [...cut, span(' '.repeat(space))] : cut
}

/** Left and right part with the space between them; the right part goes first when there is no room. */
export function spread(left: Line, right: Line, width: number): Line {
  const space = width - lineWidth(left) - lineWidth(right)
  if (space < 1) return truncateLine(left, width)
  return [...left, span(' '.repeat(space)), ...right]
}

/** All of a line in one tone, to the full width: the selected row. */
export const highlight = (l: Line, width: number): Line => [span(pad(plainText(l), width), 'selected')]

/** Blocks of lines side by side, each as wide as told, `gap` columns between them. */
export function beside(blocks: readonly { lines: readonly Line[]; width: number }[], gap = 1): Line[] {
  const height = Math.max(0, ...blocks.map((b) => b.lines.length))
  return Array.from({ length: height }, (_, i) =>
    blocks.flatMap((b, k) => [...(k > 0 ? [span(' '.repeat(gap))] : []), ...fitLine(b.lines[i] ?? EMPTY, b.width)]),
  )
}

/** Words of a text in lines of at most `width` columns. */
export function wrap(text: string, width: number): string[] {
  const out: string[] = []
  let current = ''
  for (const word of text.split(' ')) {
    const longer = current === '' ? word : `${current} ${word}`
    if (textWidth(longer) <= width) current = longer
    else {
      if (current !== '') out.push(current)
      current = truncate(word, width)
    }
  }
  if (current !== '' || out.length === 0) out.push(current)
  return out
}
