import { printable } from '../../core/text.ts'
import { halfBlocks } from '../../eval/half-blocks.ts'
import { EMPTY, type Line, line, span, truncateLine } from '../lines.ts'
import { selectedRow } from '../view.ts'
import { padTo } from './charts.ts'
import type { Scene } from './scene.ts'

/** The groups of a fixed image as they are now; the next line is the next image. */
export function segmentLines(scene: Scene): Line[] {
  const { visible, view, width, height, pictures, depth } = scene
  const row = selectedRow(visible, view.selected)
  if (pictures.length === 0) {
    const text = row?.runName ? `${row.runName} has segmented no samples yet` : 'this point has not started yet'
    return [EMPTY, line(span(text, 'dim'))]
  }
  const at = Math.min(view.scroll, pictures.length - 1)
  const { sample, step, canvas } = pictures[at]
  const facts = `${row?.runName} · ${sample} (${at + 1} of ${pictures.length}) · step ${step}`
  const head = truncateLine(line(span(printable(facts), 'title'), span('  j next image · n next run', 'dim')), width)
  const colours = depth === 24 ? 'true' : depth === 8 ? '256' : 'none'
  const rows = halfBlocks(canvas, width, Math.max(1, height - 2), colours)
  const shown = rows.map(
    (ansi): Line => (colours === 'none' ? line(ansi) : [{ text: widthOf(ansi), tone: 'plain', ansi }]),
  )
  return padTo([head, EMPTY, ...shown], height)
}

/** The blocks of a row without their colours. */
const widthOf = (ansi: string): string => ansi.replace(/\u001b\[[0-9;]*m/g, '')
