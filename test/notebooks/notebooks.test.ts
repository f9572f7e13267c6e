import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openStore } from '../../lib/store/open.ts'
import { dots, eachRun, overSeeds, percent, type Shown, table } from '../../notebooks/plots.ts'
import { bringUpToDate, executeNotebook, findTools, NOTEBOOKS } from '../../notebooks/run.ts'
import { emptyHome, stagesHome } from '../store/home.ts'

type Cell = {
  cell_type: 'code' | 'markdown'
  source: string[]
  execution_count: number | null
  outputs: { output_type: string; data?: Record<string, string[]> }[]
}

const cellsOf = (file: string): Cell[] =>
  (JSON.parse(readFileSync(file, 'utf8')) as { cells: Cell[] }).cells.filter(({ cell_type }) => cell_type === 'code')

/** The queries of a cell, as they stand in its strings. */
const queriesOf = ({ source }: Cell): string[] =>
  [...source.join('').matchAll(/`\s*(SELECT[^`]*)`|"(SELECT[^"]*)"|'(SELECT[^']*)'/g)].map((match) =>
    String(match[1] ?? match[2] ?? match[3]),
  )

const tools = findTools()
if (typeof tools === 'string') console.warn(`The notebooks are not executed here. ${tools}`)

test('there are two notebooks', () => {
  expect(NOTEBOOKS.map((file) => basename(file))).toEqual(['ablations.ipynb', 'training-curves.ipynb'])
})

describe.each(NOTEBOOKS)('%s', (notebook) => {
  test('holds the outputs of one run from top to bottom, and no error', () => {
    const cells = cellsOf(notebook)
    expect(cells.map((cell) => cell.execution_count)).toEqual(cells.map((_, i) => i + 1))
    const kinds = cells.map(({ outputs }) => outputs.map(({ output_type }) => output_type))
    for (const kind of kinds) expect(['execute_result', 'stream']).toContain(kind.join())
    expect(cells.filter(({ outputs }) => outputs[0].data?.['image/svg+xml']).length).toBeGreaterThan(1)
  })

  test('reads only the views, with queries that SQLite takes', () => {
    const store = openStore(emptyHome())
    onTestFinished(() => store.close())
    const queries = cellsOf(notebook).flatMap(queriesOf)
    expect(queries.length).toBeGreaterThan(5)
    for (const query of queries) {
      expect(store.db.prepare(query).reader, query).toBe(true)
      for (const [, from] of query.matchAll(/\b(?:FROM|JOIN)\s+(\w+)/g)) expect(from).toMatch(/^v_/)
    }
  })

  test('runs from top to bottom on another database', { timeout: 120_000 }, ({ skip }) => {
    if (typeof tools === 'string') return skip(tools)
    const home = stagesHome()
    bringUpToDate(home)
    const folder = mkdtempSync(join(tmpdir(), 'gvx-notebook-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const target = join(folder, 'out.ipynb')
    executeNotebook(notebook, target, { ...tools, home })
    const cells = cellsOf(target)
    expect(cells.map(({ outputs }) => outputs.length)).toEqual(cells.map(() => 1))
    const said = JSON.stringify(cells.map(({ outputs }) => outputs))
    expect(said).toContain('one-stage')
    expect(said).not.toContain('"output_type":"error"')
  })
})

test('a cell that fails says which and why', { timeout: 120_000 }, ({ skip }) => {
  if (typeof tools === 'string') return skip(tools)
  const home = emptyHome()
  bringUpToDate(home)
  expect(() => executeNotebook(NOTEBOOKS[0], join(home, 'out.ipynb'), { ...tools, home })).toThrow(
    /ablations\.ipynb: [\s\S]*has no runs: gvx sweep/,
  )
})

const dataOf = async (shown: Shown): Promise<Record<string, string>> =>
  (shown[Symbol.for('Jupyter.display')] as () => Record<string, string> | Promise<Record<string, string>>)()

describe('what they draw', () => {
  test('the mean over seeds stands where every seed has a value, in the band of lowest and highest', () => {
    const points = [
      { curve: 'a', run: 'run1', step: 10, value: 1 },
      { curve: 'a', run: 'run1', step: 20, value: 2 },
      { curve: 'a', run: 'run2', step: 10, value: 3 },
      { curve: 'b', run: 'run3', step: 10, value: null },
    ]
    expect(overSeeds(points)).toEqual([
      { name: 'a (2 seeds)', x: [10], y: [2], band: { low: [1], high: [3] } },
      { name: 'b', x: [10], y: [Number.NaN] },
    ])
    expect(eachRun(points).map(({ name, y }) => [name, y])).toEqual([
      ['a run1', [1, 2]],
      ['a run2', [3]],
      ['b run3', [Number.NaN]],
    ])
  })

  test('a table escapes, rounds and leaves out what is not there', async () => {
    const { 'text/markdown': text } = await dataOf(table([{ name: 'a|b', x: 0.12345, y: null }], { x: percent }))
    expect(text).toBe('| name | x | y |\n| --- | ---: | --- |\n| a\\|b | 12.3 | – |')
    expect((await dataOf(table([])))['text/plain']).toBe('nothing')
  })

  test('a dot for each seed, and a run that diverged is said', async () => {
    const samples = [
      { name: 'good', values: [0.4, 0.5] },
      { name: 'lost', values: [0.1, Number.NaN] },
    ]
    const options = { title: 't', xLabel: 'mIoU', references: [{ name: 'chance', x: 0.03 }] }
    const { 'image/svg+xml': svg } = await dataOf(dots(samples, options))
    expect(svg.match(/stroke="#fff"/g)).toHaveLength(3)
    expect(svg).toContain('lost (1 NaN)')
    expect(svg).toContain('chance 0.03')
    expect(svg).not.toContain('NaN"')
  })
})
