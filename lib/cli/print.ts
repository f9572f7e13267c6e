import { styleText } from 'node:util'
import CliTable from 'cli-table3'
import { printable } from '../core/text.ts'
import { textWidth } from '../tui/format.ts'
import type { AnyCommand, Cell, Column, Fact, Out, Table } from './command.ts'

export type Format = 'text' | 'json' | 'csv' | 'md' | 'tex'
export const FORMATS = ['json', 'csv', 'md', 'tex'] as const

/** Raised when a field changes its meaning or goes; new fields do not raise it. Described in docs/json-output.md. */
const JSON_VERSION = 1

type Streams = { write(text: string): void; say(text: string): void; width: number; color: boolean }

/** Prints the data of a command in the format that was asked for. The only place that knows formats. */
export function printData(command: AnyCommand, data: unknown, format: Format, streams: Streams): void {
  if (format === 'json') {
    const fields: Record<string, unknown> = command.json ? command.json(data) : (data as Record<string, unknown>)
    streams.write(`${JSON.stringify({ version: JSON_VERSION, kind: command.kind, ...fields }, jsonNumber, 2)}\n`)
    return
  }
  if (format === 'text') {
    command.print?.(data, textOut(streams))
    return
  }
  const out = fileOut(format, streams)
  command.print?.(data, out)
  if (out.tables > 0) return
  // What is said in sentences to people has its fields as a table.
  for (const table of tablesOf(command.json ? command.json(data) : data)) out.table(table)
}

/** Data as tables: one for each list of objects in it, or one row of all fields; what is nested has dotted names. */
export function tablesOf(data: unknown): Table[] {
  const fields = Object.entries(flatten('', data))
  const lists = fields.filter(([, value]) => isList(value))
  const others = fields.filter(([, value]) => !isList(value))
  if (lists.length === 0) return [tableOf([Object.fromEntries(others)])]
  return lists.map(([, rows]) =>
    tableOf((rows as object[]).map((row) => ({ ...Object.fromEntries(others), ...flatten('', row) }))),
  )
}

const isList = (value: unknown): boolean =>
  Array.isArray(value) && value.some((item) => typeof item === 'object' && item !== null)

function flatten(prefix: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { [prefix || 'value']: value }
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, inner]) => flatten(prefix ? `${prefix}.${key}` : key, inner)),
  )
}

function tableOf(rows: Record<string, unknown>[]): Table {
  const names = [...new Set(rows.flatMap(Object.keys))]
  const cell = (value: unknown): Cell =>
    value === undefined || value === null
      ? null
      : ['string', 'number', 'boolean'].includes(typeof value)
        ? (value as Cell)
        : Array.isArray(value) && !isList(value)
          ? value.join(' ')
          : JSON.stringify(value)
  return { columns: names.map((name) => ({ name })), rows: rows.map((row) => names.map((name) => cell(row[name]))) }
}

/** JSON has no NaN: what is not finite is written as the text NaN, Infinity or -Infinity. */
const jsonNumber = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? String(value) : value

function textOut({ write, say, width, color }: Streams): Out {
  const style = (name: 'bold' | 'dim', text: string) =>
    color ? styleText(name, text, { validateStream: false }) : text
  return {
    width,
    say,
    bold: (text) => style('bold', text),
    dim: (text) => style('dim', text),
    line: (text = '') => write(`${text}\n`),
    facts(facts) {
      const shown = facts.filter(({ said }) => !said)
      const widest = Math.max(0, ...shown.map(({ name }) => name.length))
      for (const { name, value } of shown)
        write(`${style('dim', name.padEnd(widest + 3))}${printable(String(value ?? '–'))}\n`)
    },
    table(table) {
      if (table.rows.length === 0) return
      if (table.title) write(`${style('bold', table.title)}\n`)
      const { shown, hidden, widths } = chooseColumns(table, width)
      const paper = new CliTable({
        head: shown.map((i) => style('bold', table.columns[i].name)),
        colAligns: shown.map((i) => table.columns[i].align ?? 'left'),
        style: { head: [], border: [], compact: true },
        chars: LIGHT,
      })
      for (const [r, row] of table.rows.entries())
        paper.push(shown.map((i) => wrapWords(cellText(row[i], table.columns[i], r), widths[i])))
      write(`${paper.toString()}\n`)
      if (hidden.length > 0)
        say(`not shown for want of width: ${hidden.map((i) => table.columns[i].name).join(', ')} (--csv has all)`)
    },
  }
}

const LIGHT = {
  top: '─',
  'top-mid': '─',
  'top-left': '',
  'top-right': '',
  bottom: '─',
  'bottom-mid': '─',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '─',
  'mid-mid': '─',
  right: '',
  'right-mid': '',
  middle: ' ',
}

/** Columns of this weight and more stay: before one of them goes, the words of long texts go on in the next line. */
const WANTED = 6
const NARROWEST = 8

/** Which columns fit, and how wide they are: the ones of least weight go first, of these the rightmost. */
function chooseColumns(table: Table, width: number): { shown: number[]; hidden: number[]; widths: number[] } {
  const { columns, rows } = table
  const natural = columns.map((column, i) =>
    Math.max(textWidth(column.name), ...rows.map((row, r) => widthOf(cellText(row[i], column, r)))),
  )
  let widths = [...natural]
  const weight = (i: number) => columns[i].weight ?? 1
  const shown = columns.map((_, i) => i).filter((i) => columns[i].only !== 'csv')
  const hidden: number[] = []
  const tooWide = () => shown.reduce((sum, i) => sum + widths[i] + 3, -1) - width
  while (tooWide() > 0) {
    const weakest = shown.reduce((a, b) => (weight(b) <= weight(a) ? b : a))
    const wraps = shown.filter((i) => columns[i].align !== 'right' && widths[i] > narrowest(columns[i]))
    if (wraps.length > 0 && (weight(weakest) >= WANTED || shown.length === 1)) {
      const [widest, next] = wraps.sort((a, b) => widths[b] - widths[a])
      const enough = Math.max(narrowest(columns[widest]), widths[widest] - tooWide())
      widths[widest] = Math.max(enough, next === undefined ? 0 : Math.min(widths[widest] - 1, widths[next]))
    } else if (shown.length > 1) {
      shown.splice(shown.indexOf(weakest), 1)
      hidden.unshift(weakest)
      widths = [...natural]
    } else break
  }
  return { shown, hidden: hidden.sort((a, b) => a - b), widths }
}

const narrowest = ({ name }: Column): number => Math.max(NARROWEST, textWidth(name))

/** The text in lines of at most `width` columns, cut between words where there are any. */
function wrapWords(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap((line) => {
      if (textWidth(line) <= width) return [line]
      const lines = ['']
      for (const word of line.split(' ')) {
        const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`
        if (textWidth(longer) <= width) lines[lines.length - 1] = longer
        else lines.push(...pieces(word, width))
      }
      return lines.filter((part, i) => part !== '' || i > 0)
    })
    .join('\n')
}

function pieces(word: string, width: number): string[] {
  const parts = ['']
  for (const character of word) {
    if (textWidth(parts.at(-1)! + character) > width) parts.push('')
    parts[parts.length - 1] += character
  }
  return parts
}

const widthOf = (text: string): number => Math.max(...text.split('\n').map(textWidth))

const cellText = (value: Cell | undefined, column: Column, row: number): string => {
  if (column.format) return printable(column.format(value ?? null, row))
  return value === null || value === undefined ? '' : printable(String(value))
}

function fileOut(format: 'csv' | 'md' | 'tex', { write, say }: Streams): Out & { tables: number } {
  const out = {
    tables: 0,
    width: Number.POSITIVE_INFINITY,
    say,
    bold: (text: string) => text,
    dim: (text: string) => text,
    line() {},
    facts(facts: readonly Fact[]) {
      out.table({ columns: [{ name: 'name' }, { name: 'value' }], rows: facts.map(({ name, value }) => [name, value]) })
    },
    table(table: Table) {
      if (out.tables > 0) write('\n')
      out.tables++
      const shown = columnsFor(format === 'csv' ? 'csv' : 'people', table)
      write(format === 'csv' ? csv(shown) : format === 'md' ? markdown(shown) : latex(shown))
    },
  }
  return out
}

function columnsFor(reader: 'csv' | 'people', { title, columns, rows }: Table): Table {
  const kept = columns.map((_, i) => i).filter((i) => (columns[i].only ?? reader) === reader)
  return { title, columns: kept.map((i) => columns[i]), rows: rows.map((row) => kept.map((i) => row[i])) }
}

const csv = ({ columns, rows }: Table): string =>
  [columns.map((column) => column.name), ...rows.map((row) => columns.map((_, i) => row[i]))].map(csvLine).join('')

/** One line of comma-separated values (RFC 4180). */
export function csvLine(values: readonly (Cell | undefined)[]): string {
  const field = (value: Cell | undefined) => {
    const text = value === null || value === undefined ? '' : String(value)
    // A spreadsheet would run text that begins like a formula.
    const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  return `${values.map(field).join(',')}\n`
}

function markdown({ title, columns, rows }: Table): string {
  const escaped = (text: string) => text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll('\n', '<br>')
  const line = (cells: string[]) => `| ${cells.map(escaped).join(' | ')} |\n`
  const rule = `|${columns.map((column) => (column.align === 'right' ? ' ---: ' : ' --- ')).join('|')}|\n`
  return (
    (title ? `**${escaped(title)}**\n\n` : '') +
    line(columns.map((column) => column.name)) +
    rule +
    rows.map((row, r) => line(columns.map((column, i) => cellText(row[i], column, r)))).join('')
  )
}

/** A table in the style of the package booktabs. */
function latex({ title, columns, rows }: Table): string {
  const line = (cells: string[]) => `${cells.map(texEscape).join(' & ')} \\\\\n`
  return (
    (title ? `% ${title.replaceAll('\n', ' ')}\n` : '') +
    `\\begin{tabular}{${columns.map((column) => (column.align === 'right' ? 'r' : 'l')).join('')}}\n\\toprule\n` +
    line(columns.map((column) => column.name)) +
    '\\midrule\n' +
    rows.map((row, r) => line(columns.map((column, i) => cellText(row[i], column, r)))).join('') +
    '\\bottomrule\n\\end{tabular}\n'
  )
}

const TEX: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '±': '$\\pm$',
  '−': '$-$',
  Δ: '$\\Delta$',
  '–': '--',
  '→': '$\\to$',
  '…': '\\ldots{}',
}
const texEscape = (text: string): string =>
  text.replace(/[\\~^±−Δ–→…&%$#_{}]/g, (c) => TEX[c] ?? `\\${c}`).replaceAll('\n', ' ')
