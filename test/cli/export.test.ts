import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { writeParquet } from '../../lib/cli/parquet.ts'
import { columnsOf, rowsOf, VIEWS } from '../../lib/store/export.ts'
import { openStore } from '../../lib/store/open.ts'
import { emptyHome, stagesHome, T0 } from '../store/home.ts'
import { gvx } from './gvx.ts'

const SLOW = { timeout: 120_000 }
const home = stagesHome(afterAll)

const rowsIn = async (file: string) => parquetReadObjects({ file: await asyncBufferFromFile(file) })

test('every format holds the same points', SLOW, async () => {
  const folder = emptyHome()
  const csv = await gvx(['export', 'run1', 'run2'], { home })
  const lines = csv.stdout.trim().split('\n')
  expect(lines[0]).toBe('run,number,name,step,value,kind,attempt,t')
  expect(lines).toContain(`run1,1,eval/voc/mIoU,50,0.22,finite,1,${T0 + 50_000}`)

  const jsonl = await gvx(['export', 'run1', 'run2', '--format', 'jsonl', '-o', join(folder, 'p.jsonl')], { home })
  expect(jsonl.code).toBe(0)
  const objects = readFileSync(join(folder, 'p.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text))
  expect(objects.map((row) => Object.values(row).join())).toEqual(lines.slice(1))

  const file = join(folder, 'p.parquet')
  const parquet = await gvx(['export', 'run1', 'run2', '--format', 'parquet', '-o', file, '--json'], { home })
  expect(JSON.parse(parquet.stdout)).toEqual({
    version: 1,
    kind: 'export',
    format: 'parquet',
    view: 'v_metrics',
    file,
    rows: objects.length,
  })
  const rows = await rowsIn(file)
  expect(
    rows.map((row) => ({
      ...row,
      number: Number(row.number),
      step: Number(row.step),
      attempt: Number(row.attempt),
      t: Number(row.t),
    })),
  ).toEqual(objects)
  expect(statSync(file).mode & 0o777).toBe(0o600)

  const db = join(folder, 'p.db')
  expect((await gvx(['export', 'run1', 'run2', '--format', 'sqlite', '-o', db], { home })).code).toBe(0)
  const copy = new Database(db, { readonly: true })
  onTestFinished(() => void copy.close())
  expect(copy.prepare('SELECT * FROM metrics').all()).toEqual(objects)
  expect(copy.prepare('SELECT DISTINCT run FROM classes').pluck().all()).toEqual(['run1', 'run2'])
})

test('the values of every column have the type that Parquet is told', async () => {
  const store = openStore(home)
  onTestFinished(() => store.close())
  const folder = emptyHome()
  for (const view of VIEWS) {
    const columns = columnsOf(store, view)
    const rows = [...rowsOf(store, view, [])]
    expect(rows.length, view).toBeGreaterThan(0)
    for (const { name, type } of columns)
      for (const value of rows.map((row) => row[name]))
        if (value !== null)
          expect(
            type === 'text'
              ? typeof value === 'string'
              : type === 'integer'
                ? Number.isInteger(value)
                : typeof value === 'number',
            `${view}.${name} ${value}`,
          ).toBe(true)
    const file = join(folder, `${view}.parquet`)
    expect(writeParquet(file, columns, rows, new AbortController().signal)).toBe(rows.length)
    const back = await rowsIn(file)
    expect(
      back.map((row) => Object.values(row).map((value) => (typeof value === 'bigint' ? Number(value) : value))),
    ).toEqual(rows.map((row) => Object.values(row)))
  }
})

test('more rows than a group holds are written group by group, none at all too', async () => {
  const folder = emptyHome()
  const columns = [
    { name: 'i', type: 'integer' as const },
    { name: 'x', type: 'real' as const },
  ]
  function* rows(count: number) {
    for (let i = 0; i < count; i++) yield { i, x: i % 3 === 0 ? null : i / 2 }
  }
  const { signal } = new AbortController()
  expect(writeParquet(join(folder, 'many.parquet'), columns, rows(250_000), signal)).toBe(250_000)
  const metadata = await parquetMetadataAsync(await asyncBufferFromFile(join(folder, 'many.parquet')))
  expect(metadata.row_groups.map((group) => Number(group.num_rows))).toEqual([100_000, 100_000, 50_000])
  expect((await rowsIn(join(folder, 'many.parquet')))[200_001]).toEqual({ i: 200_001n, x: null })
  expect(writeParquet(join(folder, 'none.parquet'), columns, rows(0), signal)).toBe(0)
  expect(await rowsIn(join(folder, 'none.parquet'))).toEqual([])
})

test('what does not go together is one sentence', SLOW, async () => {
  const folder = emptyHome()
  const refused = async (...args: string[]) => {
    const answer = await gvx(['export', ...args], { home })
    expect(answer.code, args.join(' ')).toBe(2)
    expect(answer.stdout).toBe('')
    return answer.stderr
  }
  expect(await refused('--format', 'parquet')).toMatch(
    /^--format parquet needs a file\.\n {2}--output metrics\.parquet/,
  )
  expect(await refused('--format', 'sqlite')).toMatch(/^--format sqlite needs a file\./)
  expect(await refused('--format', 'hf', 'run1')).toMatch(/^--format hf writes the weights of one run/)
  expect(await refused('run1', '--weights', 'best')).toMatch(/^--weights is for --format hf\./)
  expect(await refused('-o', join(folder, 'no/x.csv'))).toMatch(/^there is no folder .*no\.\n/)
  expect(await refused('-o', join(home, 'runs.db'))).toMatch(/runs\.db exists already\./)
})
