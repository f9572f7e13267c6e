import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { EXIT, messageOf, UserError } from '../core/errors.ts'
import { ingestAll } from './ingest.ts'
import { backupTo, databaseError, databaseFile, openReadonly, openStore, type Store } from './open.ts'
import { MIGRATIONS } from './schema.ts'
import { refreshStatuses } from './status.ts'

/** What keeps runs.db healthy. */

export type Check = {
  file: string
  bytes: number
  schema: number
  /** What is wrong, in sentences; empty when nothing is. */
  problems: string[]
  rows: Record<string, number>
}

/** Asks SQLite whether the file is whole, and the tables whether they fit each other. */
export function checkDatabase(home: string): Check {
  const store = openReadonly(home)
  try {
    const { db, file } = store
    const integrity = db.pragma('integrity_check(10)') as { integrity_check: string }[]
    const problems = integrity.map((row) => row.integrity_check).filter((text) => text !== 'ok')
    const orphans = db.pragma('foreign_key_check') as unknown[]
    if (orphans.length > 0) problems.push(`${orphans.length} rows refer to rows that are not there`)
    const stray = db
      .prepare('SELECT count(*) FROM metrics WHERE run NOT IN (SELECT id FROM runs)')
      .pluck()
      .get() as number
    if (stray > 0) problems.push(`${stray} points belong to no run`)
    const wrong = db
      .prepare(
        `SELECT count(*) FROM summaries s WHERE count <> (SELECT count(*) FROM metrics m WHERE m.run = s.run AND m.name = s.name)`,
      )
      .pluck()
      .get() as number
    if (wrong > 0) problems.push(`${wrong} summaries do not fit their points`)
    const tables = ['runs', 'metrics', 'evaluations', 'summaries', 'tags', 'notes']
    const rows = Object.fromEntries(
      tables.map((table) => [table, db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number]),
    )
    return {
      file,
      bytes: statSync(file).size,
      schema: db.pragma('user_version', { simple: true }) as number,
      problems,
      rows,
    }
  } catch (error) {
    throw databaseError(store.file, error)
  } finally {
    store.close()
  }
}

/** Copies the database to a new file; UserError when the file exists. */
export function backupDatabase(store: Store, file: string): number {
  if (existsSync(file)) throw new UserError(`${file} exists already.`, { hint: 'name a new file' })
  if (!existsSync(dirname(file))) throw new UserError(`the folder ${dirname(file)} does not exist.`)
  try {
    backupTo(store.db, file)
  } catch (error) {
    rmSync(file, { force: true })
    throw databaseError(file, error)
  }
  return statSync(file).size
}

/**
 * Makes the database anew from the run folders, beside the old one, and then puts it in its place; the old one is kept.
 * Nobody else may have it open: on the way there, writers of the old file would write into a file that nobody reads.
 */
export function rebuildDatabase(
  home: string,
  onProblem: (text: string) => void,
): { runs: number; kept: string | null } {
  const file = databaseFile(home)
  const next = `${file}.rebuilding`
  for (const name of [next, `${next}-wal`, `${next}-shm`]) rmSync(name, { force: true })
  const store = openStore(home, { file: next })
  let runs: number
  try {
    ingestAll(store, (dir, error) => onProblem(`${dir} was left out: ${messageOf(error)}`))
    refreshStatuses(store)
    runs = store.db.prepare('SELECT count(*) FROM runs').pluck().get() as number
    // Everything into the one file that is renamed.
    store.db.pragma('journal_mode = DELETE')
  } finally {
    store.close()
  }
  const kept = existsSync(file) ? freeName(`${file}.old`) : null
  if (kept) {
    renameSync(file, kept)
    for (const tail of ['-wal', '-shm']) if (existsSync(file + tail)) renameSync(file + tail, kept + tail)
  }
  renameSync(next, file)
  return { runs, kept }
}

function freeName(name: string): string {
  const taken = new Set(readdirSync(dirname(name)))
  let candidate = name
  for (let n = 2; taken.has(basename(candidate)); n++) candidate = `${name}-${n}`
  return join(dirname(name), basename(candidate))
}

/** The migrations a database of this gvx has seen, oldest first. */
export const migrationNames = (): string[] => MIGRATIONS.map((migration) => migration.name)

/** Runs one SELECT for reading only. To be called in a process of its own: an endless query cannot be stopped from inside. */
export function query(
  home: string,
  text: string,
  maxRows: number,
): { columns: string[]; rows: unknown[][]; more: boolean } {
  const store = openReadonly(home)
  try {
    const statement = store.db.prepare(text)
    if (!statement.reader)
      throw new UserError('gvx sql only reads: expected a SELECT.', { hint: 'gvx sql "SELECT * FROM v_runs"' })
    const columns = statement.columns().map((column) => column.name)
    const rows: unknown[][] = []
    let more = false
    for (const row of statement.raw().iterate() as IterableIterator<unknown[]>) {
      if (rows.length === maxRows) {
        more = true
        break
      }
      rows.push(row.map((value) => (Buffer.isBuffer(value) ? `${value.length} bytes` : value)))
    }
    return { columns, rows, more }
  } catch (error) {
    if (error instanceof UserError) throw error
    const known = databaseError(store.file, error)
    if (known !== error) throw known
    throw new UserError(`SQLite says: ${messageOf(error)}.`, {
      hint: 'the views are v_runs, v_metrics, v_params, v_evaluations and v_leaderboard',
      exitCode: EXIT.usage,
      cause: error,
    })
  } finally {
    store.close()
  }
}
