import { chmodSync, closeSync, existsSync, mkdirSync, openSync, statfsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import Database from 'better-sqlite3'
import { EXIT, messageOf, UserError } from '../core/errors.ts'
import { runsFolder } from '../run/folder.ts'
import { MIGRATIONS } from './schema.ts'

/** The open database of a home. Close it. */
export type Store = {
  home: string
  file: string
  db: Database.Database
  readonly: boolean
  /**
   * Prepared statements by their text: preparing costs more than running a small one. They are shared, so a caller must not change
   * what they return (`pluck`, `raw`): `values` has one that gives the first column.
   */
  sql(text: string): Database.Statement
  values(text: string): Database.Statement
  close(): void
}

/** Where the database of a home is: beside `runs/`, or where GVX_DB says (a home on a network file system). */
export const databaseFile = (home: string): string =>
  process.env.GVX_DB ? resolve(process.env.GVX_DB) : join(home, 'runs.db')

export type OpenOptions = {
  /** Told in one sentence what is unwise about the place of the database. */
  warn?: (text: string) => void
  /** Another file than the usual one of the home. */
  file?: string
}

/**
 * Opens `runs.db`, makes it where there is none, and brings an older one up to date after a backup.
 * UserError with exit code 7 for a database of a newer gvx or one that is no database.
 */
export function openStore(home: string, { warn, file = databaseFile(home) }: OpenOptions = {}): Store {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    // SQLite gives its journal files the mode of the database.
    if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))
  } catch (error) {
    throw new UserError(`${file} cannot be made: ${messageOf(error)}.`, {
      hint: '--home or GVX_HOME names another directory, GVX_DB another place for the database alone',
      exitCode: EXIT.database,
      cause: error,
    })
  }
  const network = networkFileSystem(home)
  if (network)
    warn?.(
      `${file} is on ${network}, where SQLite is not safe with two machines; GVX_DB names a place on a local disk.`,
    )
  return openFile(file, home, false)
}

/** Whether there is anything to read in a home: a database, or runs to make one of. */
export const hasRuns = (home: string): boolean => existsSync(databaseFile(home)) || existsSync(runsFolder(home))

/** The database of a home where nothing has run, in memory: looking into a folder leaves nothing behind in it. */
export const openEmpty = (home: string): Store => openFile(':memory:', home, false, databaseFile(home))

/** Opens the database for looking only: writes are refused by SQLite itself. */
export function openReadonly(home: string): Store {
  const file = databaseFile(home)
  if (!existsSync(file))
    throw new UserError(`there is no database in ${home}.`, {
      hint: 'gvx sweep ablations/stages.yaml makes one, --home names another place',
      exitCode: EXIT.nothingFound,
    })
  return openFile(file, home, true)
}

/** @param as the file that the store says it is */
function openFile(file: string, home: string, readonly: boolean, as = file): Store {
  let db: Database.Database
  try {
    db = new Database(file, { readonly, timeout: 10_000 })
    db.pragma('foreign_keys = ON')
    if (!readonly) {
      db.pragma('journal_mode = WAL')
      db.pragma('synchronous = NORMAL')
      migrate(db, file)
    } else refuseNewer(db, file)
  } catch (error) {
    throw databaseError(file, error)
  }
  const cached = (prepare: (text: string) => Database.Statement) => {
    const statements = new Map<string, Database.Statement>()
    return (text: string) => {
      let statement = statements.get(text)
      if (!statement) {
        statement = prepare(text)
        statements.set(text, statement)
      }
      return statement
    }
  }
  return {
    home,
    file: as,
    db,
    readonly,
    sql: cached((text) => db.prepare(text)),
    values: cached((text) => db.prepare(text).pluck()),
    close: () => db.close(),
  }
}

/** A sentence for what SQLite says about a file; everything else is passed on. */
export function databaseError(file: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error
  const say = (what: string, hint: string) => new UserError(what, { hint, exitCode: EXIT.database, cause: error })
  if (error.code === 'SQLITE_NOTADB' || error.code.startsWith('SQLITE_CORRUPT'))
    return say(
      `${file} is damaged or no database.`,
      'gvx db rebuild makes a new one from runs/ and keeps the old one aside',
    )
  if (error.code.startsWith('SQLITE_BUSY'))
    return say(`${file} is in use by another process that does not let go.`, 'try again, or look for a stuck gvx')
  if (error.code === 'SQLITE_FULL')
    return say(`the disk of ${file} is full.`, 'free some space; nothing in runs/ is lost')
  if (error.code.startsWith('SQLITE_READONLY') || error.code === 'SQLITE_CANTOPEN')
    return say(`${file} cannot be opened for writing (${messageOf(error)}).`, 'check the rights of the folder')
  return error
}

function refuseNewer(db: Database.Database, file: string): number {
  const version = db.pragma('user_version', { simple: true }) as number
  if (version > MIGRATIONS.length)
    throw new UserError(
      `${file} was written by a newer gvx (schema ${version}, this one knows ${MIGRATIONS.length}).`,
      { hint: 'update gvx, or use another --home', exitCode: EXIT.database },
    )
  return version
}

function migrate(db: Database.Database, file: string): void {
  const version = refuseNewer(db, file)
  if (version === MIGRATIONS.length) return
  if (version > 0) backupTo(db, `${file}.before-schema-${MIGRATIONS.length}`)
  db.transaction(() => {
    // Another process may have been faster while this one waited for the lock.
    const now = db.pragma('user_version', { simple: true }) as number
    for (const migration of MIGRATIONS.slice(now)) db.exec(migration.sql)
    if (now < MIGRATIONS.length) db.pragma(`user_version = ${MIGRATIONS.length}`)
  }).immediate()
}

/** Copies the database into a new file, consistent whatever else writes. An existing file is left alone. */
export function backupTo(db: Database.Database, file: string): void {
  if (existsSync(file)) return
  db.prepare('VACUUM INTO ?').run(file)
  chmodSync(file, 0o600)
}

/** Magic numbers of statfs(2) for file systems whose locks or shared memory do not span machines. */
const NETWORK = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x00c36400, 'Ceph'],
])

/** Name of the network file system a folder is on, or null. */
export function networkFileSystem(folder: string): string | null {
  try {
    return NETWORK.get(statfsSync(folder).type) ?? null
  } catch {
    return null
  }
}
