import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { EXIT, type ExitCode, UserError } from '../core/errors.ts'
import { type Cell, defineCommand } from './command.ts'
import { short } from './format.ts'

type Answer = { columns: string[]; rows: Cell[][]; more: boolean }
type Failure = { message: string; hint?: string; exitCode: ExitCode }

export default defineCommand<{ query: string; timeout: number; limit: number }, Answer>({
  kind: 'sql',
  builder: (y) =>
    y
      .positional('query', {
        type: 'string',
        demandOption: true,
        describe: 'SELECT over v_runs, v_metrics, v_params, v_evaluations, v_leaderboard',
      })
      .option('timeout', { type: 'number', default: 30, describe: 'Seconds after which the query is ended' })
      .option('limit', { alias: 'n', type: 'number', default: 10_000, describe: 'At most so many rows' }),
  async run(args, context) {
    await context.store()
    const answer = await ask(context.home, args.query, args.limit, args.timeout * 1000)
    if (answer.more) context.say(`more than ${args.limit} rows: --limit takes more.`)
    return answer
  },
  print({ columns, rows }, out) {
    const numeric = columns.map((_, i) => rows.some((row) => typeof row[i] === 'number'))
    out.table({
      columns: columns.map((name, i) => ({
        name,
        align: numeric[i] ? 'right' : 'left',
        format: (v) => (v === null ? '' : short(v)),
      })),
      rows,
    })
  },
})

/** Lets a child process answer, and ends it when it takes too long or the user presses Ctrl-C. */
function ask(home: string, text: string, limit: number, timeout: number): Promise<Answer> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const child = fork(fileURLToPath(new URL(`./sql-child.${extension}`, import.meta.url)), [home, String(limit), text], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
  })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new UserError(`the query was ended after ${timeout / 1000} s.`, { hint: '--timeout gives it longer' }))
    }, timeout)
    child.on('message', (message: { result: Answer } | Failure) => {
      if ('result' in message) resolve(message.result)
      else reject(new UserError(message.message, { hint: message.hint, exitCode: message.exitCode }))
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      reject(new UserError(`the query ended without an answer (${signal ?? code}).`, { exitCode: EXIT.database }))
    })
  })
}
