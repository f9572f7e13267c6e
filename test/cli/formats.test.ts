import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AnyCommand } from '../../lib/cli/command.ts'
import { COMMANDS, nameOf } from '../../lib/cli/commands.ts'
import { FORMATS, printData, tablesOf } from '../../lib/cli/print.ts'
import { noteRun, tagRun } from '../../lib/store/marks.ts'
import { stagesHome } from '../store/home.ts'
import { readingContext } from './context.ts'

/**
 * Every command that only reads, with the arguments that it needs on five finished runs; sql, which asks a process of its own, is in
 * read.test.ts, and those that segment in eval.test.ts.
 */
const READS: readonly [name: string, args: Record<string, unknown>][] = [
  ['runs', { where: undefined, limit: 50 }],
  ['show', { run: 'run1', all: true }],
  ['compare', { runs: ['run1', 'run3'], code: true }],
  ['compare', { runs: ['run1', 'run2', 'run5'], trim: true }],
  ['leaderboard', { metric: 'mIoU', reference: 'paper' }],
  ['logs', { run: 'run1', worker: true }],
  ['tag', { run: 'run1' }],
  ['note', { run: 'run1' }],
  ['db', { action: 'check' }],
  ['config', { action: 'print', set: [] }],
  ['config', { action: 'keys', set: [] }],
  ['model', { set: [] }],
]

const docs = readFileSync(new URL('../../docs/json-output.md', import.meta.url), 'utf8')

const { store, context } = readingContext(stagesHome(afterAll))
tagRun(store, 1, 'good')
noteRun(store, 1, 'a, "quoted" | note & more', 5)

/** Fields of a line of comma-separated values. */
const fieldsOf = (line: string) => line.replaceAll(/"(?:[^"]|"")*"/g, 'quoted').split(',').length

describe.each(READS)('gvx %s %j', { timeout: 120_000 }, (name, args) => {
  const outputs = new Map<string, string>()
  beforeAll(async () => {
    const { default: command } = await COMMANDS.find((entry) => nameOf(entry) === name)!.load()
    for (const format of ['text', ...FORMATS] as const) {
      const data = await command.run(format === 'text' ? args : { ...args, [format]: true }, context)
      let text = ''
      const write = (more: string) => {
        text += more
      }
      // What is printed as it comes, as a log, is not in the data.
      if (data !== undefined) printData(command, data, format, { write, say: () => {}, width: 200, color: false })
      outputs.set(format, text)
    }
  }, 120_000)
  const output = (format: string) => outputs.get(format)!

  test('as JSON, documented', async () => {
    const { version, kind, ...fields } = JSON.parse(output('json'))
    expect([version, kind]).toEqual([1, (await COMMANDS.find((entry) => nameOf(entry) === name)!.load()).default.kind])
    expect(docs.includes(`\`${kind}\``), kind).toBe(true)
    for (const field of Object.keys(fields)) expect(docs.includes(`\`${field}`), `${kind}.${field}`).toBe(true)
  })

  test('as comma-separated values: whole numbers, and as many fields in each line as its head has', async () => {
    const tables = output('csv').trim().split('\n\n')
    for (const table of tables) {
      const lines = table.split(/\n(?=(?:[^"]*"[^"]*")*[^"]*$)/)
      expect(lines.length).toBeGreaterThan(1)
      for (const line of lines) expect(fieldsOf(line), line).toBe(fieldsOf(lines[0]))
      const names = lines[0].split(',')
      expect(new Set(names).size, lines[0]).toBe(names.length)
    }
  })

  test('as Markdown', async () => {
    const lines = output('md')
      .trim()
      .split('\n')
      .filter((line) => line !== '')
    expect(lines.length).toBeGreaterThan(2)
    for (const line of lines) expect(line).toMatch(/^(?:\|.*\||\*\*.*\*\*)$/)
  })

  test('as LaTeX in the style of booktabs', async () => {
    const text = output('tex')
    for (const rule of ['\\toprule', '\\midrule', '\\bottomrule']) expect(text).toContain(rule)
    const body = text.split('\n').filter((line) => line.endsWith('\\\\'))
    expect(body.length).toBeGreaterThan(1)
    for (const line of body) expect(line).not.toMatch(/(?<!\\)[%#_](?!.*\\\\$)/)
  })
})

test('the JSON of every command is documented', async () => {
  const kinds = await Promise.all(COMMANDS.map(async (entry) => (await entry.load()).default.kind))
  expect(kinds.filter((kind) => kind !== undefined && !docs.includes(`\`${kind}\``))).toEqual([])
})

test('a narrow terminal gets the words of a name in several lines before it loses the number beside it', () => {
  const name = 'plain, nouns=2, aVeryLongWordThatStandsAlone'
  const command: AnyCommand = {
    kind: 'x',
    run: () => null,
    print: (_, out) =>
      out.table({
        columns: [
          { name: 'name', weight: 9 },
          { name: 'mIoU', weight: 8, align: 'right' },
          { name: 'commit', weight: 1 },
        ],
        rows: [[name, 12.5, 'abcdef0']],
      }),
  }
  const drawn = (width: number) => {
    let text = ''
    const write = (more: string) => {
      text += more
    }
    printData(command, null, 'text', { write, say: write, width, color: false })
    return text.split('\n').filter((line) => !line.startsWith('not shown'))
  }
  for (const width of [24, 32, 40, 60]) {
    const lines = drawn(width)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    const body = lines.slice(3).filter((line) => line !== '' && !line.startsWith('─'))
    expect(
      body
        .map((line) => line.replace('12.5', '').replace('abcdef0', ''))
        .join('')
        .replaceAll(' ', ''),
    ).toBe(name.replaceAll(' ', ''))
    expect(body[0]).toContain('12.5')
  }
  expect(drawn(80)).toHaveLength(6)
  expect(drawn(32)[0]).toHaveLength(32) // the room of what went is used
})

test('sentences for people are fields for programs', () => {
  expect(
    tablesOf({
      run: 'run1',
      notes: [
        { t: 5, text: 'a' },
        { t: 6, text: 'b' },
      ],
    }),
  ).toEqual([
    {
      columns: [{ name: 'run' }, { name: 't' }, { name: 'text' }],
      rows: [
        ['run1', 5, 'a'],
        ['run1', 6, 'b'],
      ],
    },
  ])
  expect(
    tablesOf({ action: 'check', check: { file: 'x', problems: [], rows: { runs: 3 } }, tags: ['a', 'b'] }),
  ).toEqual([
    {
      columns: ['action', 'check.file', 'check.problems', 'check.rows.runs', 'tags'].map((name) => ({ name })),
      rows: [['check', 'x', '', 3, 'a b']],
    },
  ])
})
