import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import yargs, { type Argv } from 'yargs'
import { EXIT, type ExitCode, messageOf, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Store } from '../store/open.ts'
import { repairTerminal } from '../tui/terminal.ts'
import type { AnyCommand, Context } from './command.ts'
import { COMMANDS, type CommandEntry, nameOf } from './commands.ts'
import type { Format } from './print.ts'

/** Runs one command line and returns the exit code. Never ends the process. */
export async function main(argv: readonly string[]): Promise<number> {
  // Ink and chalk look at FORCE_COLOR alone.
  if (process.env.NO_COLOR && !process.env.FORCE_COLOR) process.env.FORCE_COLOR = '0'
  const unread = new AbortController()
  const onOutputError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    unread.abort()
  }
  process.stdout.on('error', onOutputError)
  process.stderr.on('error', onOutputError)
  if (repairTerminal(process.stdout))
    process.stderr.write('gvx: a screen was killed and left the terminal as it was; it is put right again\n')
  try {
    if (argv[0] === '__complete') return await complete(argv.slice(1))
    return await runCommand(argv, unread.signal)
  } catch (error) {
    return tell(error)
  }
}

async function runCommand(argv: readonly string[], signal: AbortSignal): Promise<number> {
  const entry = await entryOf(argv)
  const command = entry ? (await entry.load()).default : null
  const parsed = await parse(argv, entry, command)
  if (parsed.output) {
    process.stdout.write(`${parsed.output}\n`)
    return EXIT.ok
  }
  if (!command) throw new UserError('which command?', { hint: 'gvx --help lists them' })
  const args = parsed.args
  const home = resolve(typeof args.home === 'string' ? args.home : process.env.GVX_HOME || '.')
  const { context, exitCode, close } = createContext(home, argv, signal)
  try {
    const data = await command.run(args, context)
    if (data !== undefined) {
      const { printData } = await import('./print.ts')
      printData(command, data, formatOf(args, command), {
        write: context.write,
        say: context.say,
        width: process.stdout.isTTY
          ? process.stdout.columns || 80
          : Number(process.env.COLUMNS) || Number.POSITIVE_INFINITY,
        color: wantsColor(),
      })
    }
    return exitCode()
  } finally {
    await close()
  }
}

/** The command that the command line names; null when it names none (`gvx --help`). */
async function entryOf(argv: readonly string[]): Promise<CommandEntry | null> {
  const name = argv.find((arg, i) => !arg.startsWith('-') && argv[i - 1] !== '--home')
  if (name === undefined) return null
  const entry = COMMANDS.find((candidate) => nameOf(candidate) === name)
  if (entry) return entry
  throw new UserError(`there is no command ${printable(name)}.`, {
    hint: (await suggest(name, COMMANDS.filter((c) => !c.hidden).map(nameOf))) ?? 'gvx --help lists the commands',
  })
}

async function parse(
  argv: readonly string[],
  entry: CommandEntry | null,
  command: AnyCommand | null,
): Promise<{ args: Record<string, unknown>; output: string }> {
  let parser: Argv = yargs()
    .scriptName('gvx')
    .usage('$0 <command>: a lab bench for text-supervised segmentation')
    .parserConfiguration({ 'dot-notation': false, 'parse-positional-numbers': false })
    .locale('en')
    .option('home', { type: 'string', describe: 'Directory of runs.db, runs/ and data/ (GVX_HOME, else here)' })
    .option('plain', { type: 'boolean', describe: 'Plain lines instead of the screen' })
    .version(version())
    .help()
    .alias('h', 'help')
    .strict()
    .demandCommand(1, 'which command?')
    .wrap(Math.min(100, process.stdout.columns || 80))
    .exitProcess(false)
  for (const other of COMMANDS) {
    const describe = other.hidden ? (false as const) : other.describe
    parser = parser.command(other.usage, describe as string, (y) => {
      const own = other === entry && command?.builder ? command.builder(y) : y
      return other === entry && command?.kind ? withFormats(own as Argv) : own
    })
  }
  return new Promise((done, failed) => {
    parser.parse(joinSort(argv), {}, (error: Error | undefined, args: unknown, output: string) => {
      if (!error) done({ args: args as Record<string, unknown>, output })
      else if (error instanceof UserError) failed(error)
      else usageError(error, entry, output).then(failed, failed)
    })
  })
}

/** `--sort -voc.mIoU` as people write it; yargs would take the value for options. */
const joinSort = (argv: readonly string[]): string[] =>
  argv.flatMap((arg, i) => {
    if (arg === '--sort' && argv[i + 1]?.startsWith('-')) return []
    return argv[i - 1] === '--sort' && arg.startsWith('-') ? [`--sort=${arg}`] : [arg]
  })

const withFormats = (y: Argv): Argv =>
  y
    .option('json', { type: 'boolean', describe: 'JSON, versioned (docs/json-output.md)' })
    .option('csv', { type: 'boolean', describe: 'Comma-separated values, unrounded' })
    .option('md', { type: 'boolean', describe: 'Markdown tables' })
    .option('tex', { type: 'boolean', describe: 'LaTeX tables (booktabs)' })
    .conflicts({ json: ['csv', 'md', 'tex'], csv: ['md', 'tex'], md: ['tex'] })

function formatOf(args: Record<string, unknown>, command: AnyCommand): Format {
  if (!command.kind) return 'text'
  return (['json', 'csv', 'md', 'tex'] as const).find((format) => args[format]) ?? 'text'
}

/** One sentence for what yargs says of a command line. */
async function usageError(error: Error, entry: CommandEntry | null, help: string): Promise<UserError> {
  const unknown = /^Unknown arguments?: (.+)$/.exec(error.message)
  const hint = `gvx ${entry ? `${nameOf(entry)} ` : ''}--help shows what there is`
  if (entry && error.message.startsWith('Not enough non-option arguments'))
    return new UserError(`gvx ${nameOf(entry)} needs ${entry.usage.replace(/^\S+ /, '')}.`, { hint })
  const choice = /Argument: (\S+), Given: (.+), Choices: (.+)/.exec(error.message)
  if (choice) {
    const [, name, given, choices] = choice
    const argument = help.includes(`--${name} `) ? `--${name}` : name
    return new UserError(`${argument}: expected ${choices.replaceAll('"', '')}, got ${printable(given)}.`, { hint })
  }
  if (!unknown) return new UserError(printable(error.message.split('\n')[0]).replace(/[^.?]$/, '$&.'), { hint })
  const names = [...new Set(unknown[1].split(', '))]
  const options = [...help.matchAll(/--([a-z][\w-]*)/gi)].map((match) => match[1])
  const guess = await suggest(names[0], options)
  return new UserError(
    `there is no option or argument ${names.map((name) => printable(name)).join(', ')}${entry ? ` of gvx ${nameOf(entry)}` : ''}.`,
    { hint: guess ?? hint },
  )
}

/** Loaded only when something was mistyped: it brings the schema along. */
async function suggest(word: string, known: readonly string[]): Promise<string | null> {
  const { nearest } = await import('../config/keys.ts')
  const guess = nearest(word, known)
  return guess && `did you mean ${guess}?`
}

/** What a command may touch; nothing is opened before it is asked for. */
function createContext(home: string, argv: readonly string[], signal: AbortSignal) {
  let exit: ExitCode = EXIT.ok
  let store: Promise<Store> | null = null
  const say = (text: string) => void (signal.aborted || process.stderr.write(`${text}\n`))
  const context: Context = {
    home,
    argv,
    signal,
    store: ({ create = false } = {}) => {
      store ??= openFresh(home, create, say)
      return store
    },
    say,
    write: (text) => void (signal.aborted || process.stdout.write(text)),
    setExit: (code) => {
      exit = code
    },
  }
  return { context, exitCode: () => exit, close: async () => (await store?.catch(() => null))?.close() }
}

/** The database with everything the logs say in it; where nothing has run, an empty one that leaves no file behind. */
async function openFresh(home: string, create: boolean, say: (text: string) => void): Promise<Store> {
  const [{ hasRuns, openEmpty, openStore }, { refresh }] = await Promise.all([
    import('../store/open.ts'),
    import('../store/status.ts'),
  ])
  if (!create && !hasRuns(home)) return openEmpty(home)
  const store = openStore(home, { warn: say })
  try {
    refresh(store, (dir, error) => say(`${dir} was left out: ${messageOf(error)}`))
  } catch (error) {
    store.close()
    throw error
  }
  return store
}

function wantsColor(): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '') return FORCE_COLOR !== '0'
  return !NO_COLOR && TERM !== 'dumb' && Boolean(process.stdout.isTTY)
}

/** Says what went wrong: the user's mistakes in a sentence and a hint, ours with everything we know. */
function tell(error: unknown): ExitCode {
  if (error instanceof UserError) {
    process.stderr.write(`${error.message}\n${error.hint ? `  ${error.hint}\n` : ''}`)
    return error.exitCode
  }
  const stack = error instanceof Error ? error.stack : messageOf(error)
  process.stderr.write(`gvx failed unexpectedly; this is a bug of gvx.\n${stack}\n`)
  return EXIT.unexpected
}

async function complete(words: readonly string[]): Promise<number> {
  const { completions } = await import('./completions.ts')
  for (const word of await completions(words)) process.stdout.write(`${word}\n`)
  return EXIT.ok
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
