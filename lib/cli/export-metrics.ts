import { once } from 'node:events'
import { createWriteStream, existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { UserError } from '../core/errors.ts'
import { exportSqlite, rowsOf, VIEWS, type View } from '../store/export.ts'
import { resolveRunName } from '../store/names.ts'
import type { Store } from '../store/open.ts'
import { type Context, defineCommand } from './command.ts'
import { csvLine } from './print.ts'

type Args = { runs?: string[]; format: 'csv' | 'jsonl' | 'sqlite'; view: View; output?: string }

export default defineCommand<Args, undefined>({
  builder: (y) =>
    y
      .positional('runs', { type: 'string', array: true, describe: 'Which runs; all when none is named' })
      .option('format', { choices: ['csv', 'jsonl', 'sqlite'] as const, default: 'csv' as const, describe: 'How' })
      .option('view', { choices: VIEWS, default: 'v_metrics' as View, describe: 'What; sqlite has all of them' })
      .option('output', { alias: 'o', type: 'string', describe: 'A new file; the standard output when there is none' }),
  async run(args, context) {
    const store = await context.store()
    const runs = (args.runs ?? []).map((name) => resolveRunName(store, name))
    const file = args.output === undefined ? null : resolve(args.output)
    if (file && existsSync(file)) throw new UserError(`${file} exists already.`, { hint: 'name a new file' })
    if (args.format === 'sqlite') {
      if (!file) throw new UserError('a database needs a file.', { hint: '--output runs-export.db' })
      exportSqlite(store, file)
    } else await write(lines(store, args, runs), file, context)
    if (file) context.say(`written: ${file}`)
    return undefined
  },
})

function* lines(store: Store, { view, format }: Args, runs: number[]): Generator<string> {
  let head = false
  for (const row of rowsOf(store, view, runs)) {
    if (format === 'jsonl') yield `${JSON.stringify(row)}\n`
    else {
      if (!head) yield csvLine(Object.keys(row))
      head = true
      yield csvLine(Object.values(row))
    }
  }
}

/** Ten million lines do not fit into memory: a reader that is slower than SQLite is waited for. */
async function write(text: Iterable<string>, file: string | null, { signal }: Context): Promise<void> {
  const stream = file ? createWriteStream(file, { flags: 'wx', mode: 0o600 }) : process.stdout
  let chunk = ''
  const flush = async () => {
    if (chunk !== '' && !stream.write(chunk)) await Promise.race([once(stream, 'drain'), once(signal, 'abort')])
    chunk = ''
  }
  for (const line of text) {
    if (signal.aborted) return
    chunk += line
    if (chunk.length > 1 << 16) await flush()
  }
  await flush()
  if (file) await new Promise<void>((done) => stream.end(done))
}
