import { printable } from '../../core/text.ts'
import { formatClock } from '../format.ts'
import { EMPTY, type Line, line, span, type Tone, truncateLine, wrap } from '../lines.ts'
import type { LogLine } from '../reducer.ts'
import { selectedRow } from '../view.ts'
import { padTo } from './charts.ts'
import type { Scene } from './scene.ts'

const TONES: Record<LogLine['level'], Tone> = { info: 'plain', warning: 'warn', error: 'bad' }

const SIGNS: Record<LogLine['level'], string> = { info: '', warning: '! ', error: '✗ ' }

type Entry = { when: string; level: LogLine['level']; text: string }

/** What was said, in as many lines as it takes, under each other beside the time. */
function entryLines({ when, level, text }: Entry, width: number): Line[] {
  const indent = when.length + 1
  return wrap(`${SIGNS[level]}${printable(text)}`, Math.max(10, width - indent)).map((part, i) =>
    truncateLine(line(span(i === 0 ? `${when} ` : ' '.repeat(indent), 'dim'), span(part, TONES[level])), width),
  )
}

/** What the selected run said: its events, then what its worker printed. The end is followed until one scrolls back. */
export function logLines(scene: Scene): Line[] {
  const { state, visible, view, width, height, workerLog } = scene
  const row = selectedRow(visible, view.selected)
  const said = (row?.run?.log ?? []).map(({ time, level, text }) => ({ when: formatClock(time), level, text }))
  const session = state.messages.map(({ level, text }) => ({ when: '        ', level, text }))
  const printed = workerLog
    .filter((text) => text.trim() !== '')
    .map((text) => ({ when: '       |', level: 'info' as const, text }))
  const needle = view.search.toLowerCase()
  const kept = [...session, ...said, ...printed].filter(
    ({ level, text }) => (!view.errorsOnly || level !== 'info') && text.toLowerCase().includes(needle),
  )
  const facts = [
    row === null
      ? 'no run'
      : `${row.runName ?? 'not started'} · ${row.label}${row.seed === null ? '' : ` seed ${row.seed}`}`,
    needle === '' ? '' : `“${view.search}”: ${kept.length}`,
    view.errorsOnly ? 'warnings and errors' : '',
    view.follow ? 'following' : 'f follows',
  ]
  const head = truncateLine(line(span(printable(facts.filter(Boolean).join(' · ')), 'dim')), width)
  if (kept.length === 0) return padTo([head, EMPTY, line(span('nothing to show', 'dim'))], height)
  const room = height - 1
  const end = Math.max(Math.min(room, kept.length), kept.length - (view.follow ? 0 : view.scroll))
  const lines = kept.slice(Math.max(0, end - room), end).flatMap((entry) => entryLines(entry, width))
  const atTop = !view.follow && end <= room
  return padTo([head, ...lines.slice(atTop ? 0 : Math.max(0, lines.length - room))], height)
}
