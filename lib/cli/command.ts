import type { Argv } from 'yargs'
import type { ExitCode } from '../core/errors.ts'
import type { Store } from '../store/open.ts'

/**
 * A command is one file with a default export of this shape and one line in `commands.ts`.
 * `run` returns data and prints nothing; `print` shows data to people. How `--json`, `--csv`, `--md` and `--tex` look is decided in
 * `print.ts` for all commands.
 */
export type Command<Args = unknown, Data = unknown> = {
  /** Options and positionals (`yargs.positional(…)`). */
  builder?: (yargs: Argv) => Argv<Args>
  run(args: Args & GlobalArgs, context: Context): Promise<Data> | Data
  print?(data: Data, out: Out): void
  /** Name of the data in `--json`; a command without it has no `--json`, `--csv`, `--md`, `--tex`. */
  kind?: string
  /** What `--json` prints of the data; all of it unless told otherwise. */
  json?(data: Data): Record<string, unknown>
}

/** A command of whatever arguments and data: where they are all listed. */
// biome-ignore lint/suspicious/noExplicitAny: arguments stand on both sides of the arrow, so no other type takes every command
export type AnyCommand = Command<any, any>

type GlobalArgs = { home?: string; plain?: boolean }

/** What a command may use of the world. */
export type Context = {
  /** Directory with runs.db, runs/ and data/. */
  home: string
  /**
   * The database, brought up to date with the logs; opened at the first call, closed when the command ends. Only with `create` is one
   * made in a home where nothing has run.
   */
  store(options?: { create?: boolean }): Promise<Store>
  /** Something to say that is not data: to stderr. */
  say(text: string): void
  /** Data that cannot wait for `print`, as `logs -f` has it: to stdout. */
  write(text: string): void
  /** What the process shall exit with, when the command ends well: 3 for a sweep with failed runs, … */
  setExit(code: ExitCode): void
  /** Aborted when nobody reads the output any more. */
  signal: AbortSignal
  argv: readonly string[]
}

export type Cell = string | number | boolean | null

export type Column = {
  name: string
  align?: 'left' | 'right'
  /** How a value looks to people, and in which row of the table it stands; `--csv` and `--json` have it as it is. */
  format?: (value: Cell, row: number) => string
  /** `csv`: a number that people see in the text of another column, as the deviation beside its mean; `people`: that text. */
  only?: 'csv' | 'people'
  /** Columns of a lower number give way first in a narrow terminal; 1 when not given, and among equals the rightmost. */
  weight?: number
}

export type Table = { title?: string; columns: Column[]; rows: Cell[][] }

export type Fact = { name: string; value: Cell; said?: boolean }

/** Where `print` writes. In `--csv`, `--md` and `--tex` only what fits the format comes out. */
export type Out = {
  table(table: Table): void
  line(text?: string): void
  /** Names and their values, one a line; a table in `--csv`, `--md` and `--tex`. `said` ones stand in a line before. */
  facts(facts: readonly Fact[]): void
  bold(text: string): string
  dim(text: string): string
  /** Columns of the terminal; Infinity when the output is no terminal. */
  width: number
  /** Something beside the data: to stderr. */
  say(text: string): void
}

/** Keeps the types of arguments and data of a command together. */
export const defineCommand = <Args, Data>(command: Command<Args, Data>): Command<Args, Data> => command

/** `--set key=value`, repeatable, for the commands that read a configuration. */
export const withSet = <T>(yargs: Argv<T>) =>
  yargs.option('set', {
    type: 'string',
    array: true,
    nargs: 1,
    default: [] as string[],
    describe: 'Override a value: --set model.stages=1',
  })
