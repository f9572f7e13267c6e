import { once } from 'node:events'
import { createWriteStream, existsSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { UserError } from '../core/errors.ts'
import { columnsOf, exportSqlite, rowsOf, VIEWS, type View } from '../store/export.ts'
import { resolveRunName } from '../store/names.ts'
import type { Store } from '../store/open.ts'
import { type Context, defineCommand } from './command.ts'
import { type ExportedWeights, exportWeights } from './export-weights.ts'
import { writeParquet } from './parquet.ts'
import { csvLine } from './print.ts'

const FORMATS = ['csv', 'jsonl', 'parquet', 'sqlite', 'hf'] as const
type Format = (typeof FORMATS)[number]

type Args = {
  runs?: string[]
  format: Format
  view?: View
  output?: string
  weights?: 'best' | 'last'
}

/** A file of rows; `rows` is null for sqlite, which holds every view. */
type ExportedRows = { format: Exclude<Format, 'hf'>; view: View | null; file: string; rows: number | null }

export default defineCommand<Args, ExportedRows | ExportedWeights | undefined>({
  kind: 'export',
  builder: (y) =>
    y
      .positional('runs', {
        type: 'string',
        array: true,
        describe: 'Which runs, all when none is named; for --format hf a run and the new folder',
      })
      .option('format', {
        choices: FORMATS,
        default: 'csv' as const,
        describe: 'Rows as csv, jsonl, parquet or sqlite, or weights as transformers loads them: hf',
      })
      .option('view', { choices: VIEWS, describe: 'Which rows, v_metrics when not given; sqlite has all views' })
      .option('output', { alias: 'o', type: 'string', describe: 'A new file; the standard output when there is none' })
      .option('weights', {
        choices: ['best', 'last'] as const,
        describe: 'hf: of the best checkpoint or of the last; eval.weights of the run when not given',
      }),
  async run({ runs: names = [], ...args }, context) {
    if (args.format === 'hf') {
      const [name, dir = args.output, ...more] = names
      if (name === undefined || dir === undefined || more.length > 0 || args.view)
        throw new UserError('--format hf writes the weights of one run into a new folder.', {
          hint: 'gvx export run1 --format hf weights/',
        })
      return exportWeights(name, dir, args.weights, context)
    }
    if (args.weights) throw new UserError('--weights is for --format hf.')
    const store = await context.store()
    const runs = names.map((name) => resolveRunName(store, name))
    const file = args.output === undefined ? null : resolve(args.output)
    if (file && existsSync(file)) throw new UserError(`${file} exists already.`, { hint: 'name a new file' })
    if (file && !existsSync(dirname(file))) throw new UserError(`there is no folder ${dirname(file)}.`)
    const { format, view = 'v_metrics' } = args
    if (format === 'csv' || format === 'jsonl') {
      const rows = await write(store, { view, format, runs }, file, context)
      return file ? { format, view, file, rows } : undefined
    }
    if (!file)
      throw new UserError(`--format ${format} needs a file.`, {
        hint: format === 'sqlite' ? '--output runs-export.db' : `--output ${view.slice(2)}.parquet`,
      })
    if (format === 'sqlite') {
      if (args.view) throw new UserError('--format sqlite holds all views.', { hint: 'leave --view out' })
      exportSqlite(store, file, runs)
      return { format, view: null, file, rows: null }
    }
    return {
      format,
      view,
      file,
      rows: whole(file, () => writeParquet(file, columnsOf(store, view), rowsOf(store, view, runs), context.signal)),
    }
  },
  json: (data) => data ?? {},
  print(data, out) {
    if (!data) return
    out.table({
      columns: Object.keys(data).map((name) => ({ name })),
      rows: [Object.values(data).map((value) => (Array.isArray(value) ? value.join(' ') : value))],
    })
  },
})

/** A file that could not be written to its end does not stay. */
function whole<T>(file: string, write: () => T): T {
  try {
    return write()
  } catch (error) {
    rmSync(file, { force: true })
    throw error
  }
}

type Rows = { view: View; format: 'csv' | 'jsonl'; runs: number[] }

function* lines(store: Store, { view, format, runs }: Rows): Generator<string> {
  if (format === 'csv') yield csvLine(columnsOf(store, view).map(({ name }) => name))
  for (const row of rowsOf(store, view, runs))
    yield format === 'jsonl' ? `${JSON.stringify(row)}\n` : csvLine(Object.values(row))
}

/** Returns how many rows there were. Ten million lines do not fit into memory: a slow reader is waited for. */
async function write(store: Store, rows: Rows, file: string | null, { signal }: Context): Promise<number> {
  const stream = file ? createWriteStream(file, { flags: 'wx', mode: 0o600 }) : process.stdout
  let chunk = ''
  let count = rows.format === 'csv' ? -1 : 0
  const flush = async () => {
    if (chunk !== '' && !stream.write(chunk)) await Promise.race([once(stream, 'drain'), once(signal, 'abort')])
    chunk = ''
  }
  for (const line of lines(store, rows)) {
    if (signal.aborted) return count
    chunk += line
    count++
    if (chunk.length > 1 << 16) await flush()
  }
  await flush()
  if (file) await new Promise<void>((done) => stream.end(done))
  return count
}
