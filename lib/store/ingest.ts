import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { flattenValues } from '../config/hash.ts'
import { readYaml } from '../config/yaml.ts'
import { decodeEvent, type LoggedEvent } from '../core/events.ts'
import { openRunFolder, type RunIdentity, runsFolder } from '../run/folder.ts'
import { type Offsets, readEvents } from '../run/log.ts'
import { AFTERWARDS, createApplier } from './apply.ts'
import { readMarks } from './marks.ts'
import type { Store } from './open.ts'

export type Ingested = { run: number; events: number; more: boolean }

/**
 * Brings the database up to date with one run folder. The events of a batch and how far the logs have been read are written in one
 * transaction, so a crash at any moment, a second process doing the same, and reading a batch twice are all harmless.
 * @param maxBytes most bytes of the logs to read; `more` tells whether some are left
 */
export function ingestRun(store: Store, runDir: string, { maxBytes }: { maxBytes?: number } = {}): Ingested {
  const { identity } = openRunFolder(runDir)
  const run = Number(identity.id.replace(/^run/, ''))
  if (isCurrent(store, run, runDir)) return { run, events: 0, more: false }
  return store.db
    .transaction(() => {
      if (!store.sql('SELECT 1 FROM runs WHERE id = ?').get(run)) insertRun(store, run, identity, runDir)
      let offsets = readOffsets(store, run)
      if (Object.entries(offsets).some(([attempt, bytes]) => logSize(runDir, Number(attempt)) < bytes)) {
        // The folder was put back to an older state: what is known of it no longer holds.
        forgetRun(store, run)
        insertRun(store, run, identity, runDir)
        offsets = {}
      }
      const read = readEvents(runDir, offsets, maxBytes)
      const applier = createApplier(store, run, runDir)
      read.events.forEach((event, i) => {
        applier.apply(event, read.attempts[i])
      })
      const late = ingestLate(store, run, runDir, applier.apply)
      applier.finish()
      for (const [attempt, bytes] of Object.entries(read.offsets)) setOffset(store, run, Number(attempt), bytes)
      if (read.damaged > 0) store.sql('UPDATE runs SET damaged = damaged + ? WHERE id = ?').run(read.damaged, run)
      return { run, events: read.events.length + late, more: read.more }
    })
    .immediate()
}

/** Brings the database up to date with every run folder of the home; a folder that cannot be read is told and passed over. */
export function ingestAll(store: Store, onProblem: (runDir: string, error: unknown) => void): void {
  for (const dir of runFolders(store.home)) {
    try {
      while (ingestRun(store, dir).more);
    } catch (error) {
      onProblem(dir, error)
    }
  }
}

/** The folders of all runs, oldest first. A watcher names those it knows, which are not looked at again. */
export function runFolders(home: string, known: { has(name: string): boolean } = new Set()): string[] {
  const runs = runsFolder(home)
  try {
    return readdirSync(runs)
      .filter((name) => /^run\d+$/.test(name) && !known.has(name))
      .sort((a, b) => Number(a.slice(3)) - Number(b.slice(3)))
      .map((name) => join(runs, name))
      .filter((dir) => statSync(join(dir, 'run.json'), { throwIfNoEntry: false }) !== undefined)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Whether there is nothing to read: asked without a lock, since most folders of a home never change again. */
function isCurrent(store: Store, run: number, runDir: string): boolean {
  if (!store.sql('SELECT 1 FROM runs WHERE id = ?').get(run)) return false
  const offsets = readOffsets(store, run)
  for (const name of readdirSync(runDir)) {
    const attempt = /^events\.(\d+)\.jsonl$/.exec(name)
    if (attempt && statSync(join(runDir, name)).size !== (offsets[Number(attempt[1])] ?? 0)) return false
  }
  return lateFiles(runDir).length === lateFilesRead(store, run)
}

function readOffsets(store: Store, run: number): Offsets {
  const rows = store.sql('SELECT attempt, bytes FROM offsets WHERE run = ? AND attempt < ?').all(run, AFTERWARDS) as {
    attempt: number
    bytes: number
  }[]
  return Object.fromEntries(rows.map((row) => [row.attempt, row.bytes]))
}

const logSize = (runDir: string, attempt: number): number =>
  statSync(join(runDir, `events.${attempt}.jsonl`), { throwIfNoEntry: false })?.size ?? 0

/** Evaluations made after the run by `gvx eval`: each is one event in a file of its own, `evals/*.event.json`. */
function lateFiles(runDir: string): string[] {
  try {
    return readdirSync(join(runDir, 'evals'))
      .filter((name) => name.endsWith('.event.json'))
      .sort()
  } catch {
    return []
  }
}

/** How many of those files have been read; they are never changed. */
const lateFilesRead = (store: Store, run: number): number =>
  (
    store.sql('SELECT bytes FROM offsets WHERE run = ? AND attempt = ?').get(run, AFTERWARDS) as
      | { bytes: number }
      | undefined
  )?.bytes ?? 0

function ingestLate(
  store: Store,
  run: number,
  runDir: string,
  apply: (event: LoggedEvent, attempt: number) => void,
): number {
  const files = lateFiles(runDir)
  if (files.length === lateFilesRead(store, run)) return 0
  for (const name of files) {
    const event = decodeEvent(readFileSync(join(runDir, 'evals', name), 'utf8'))
    if (event?.type === 'eval.finished') apply(event, AFTERWARDS)
  }
  store.sql('DELETE FROM attempts WHERE run = ? AND attempt = ?').run(run, AFTERWARDS)
  setOffset(store, run, AFTERWARDS, files.length)
  return files.length
}

const setOffset = (store: Store, run: number, attempt: number, bytes: number) =>
  store
    .sql('INSERT INTO offsets (run, attempt, bytes) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes')
    .run(run, attempt, bytes)

function insertRun(store: Store, run: number, identity: RunIdentity, runDir: string): void {
  const { sql } = store
  let sweep: number | null = null
  let point: number | null = null
  if (identity.sweep !== null) {
    sql('INSERT INTO sweeps (name) VALUES (?) ON CONFLICT DO NOTHING').run(identity.sweep)
    sweep = (sql('SELECT id FROM sweeps WHERE name = ?').get(identity.sweep) as { id: number }).id
    if (identity.point !== null) {
      sql(
        'INSERT INTO points (sweep, key, label) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET label = excluded.label',
      ).run(sweep, identity.point, identity.label)
      point = (sql('SELECT id FROM points WHERE sweep = ? AND key = ?').get(sweep, identity.point) as { id: number }).id
    }
  }
  // As it was written, not as this version's schema has it: runs of other versions, with keys that this one does not know, stay readable.
  const params = Object.entries(flattenValues(readYaml(join(runDir, 'config.yaml')).value))
  const steps = params.find(([key]) => key === 'train.steps')?.[1]
  sql(
    `INSERT INTO runs (id, name, label, kind, created, config_hash, seed, sweep, point, config, argv, git_commit, git_dirty, versions, total_steps)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  ).run(
    run,
    identity.name,
    identity.label,
    identity.kind,
    identity.created,
    identity.configHash,
    identity.seed,
    sweep,
    point,
    readFileSync(join(runDir, 'config.yaml'), 'utf8'),
    JSON.stringify(identity.argv),
    identity.git.commit,
    identity.git.dirty ? 1 : 0,
    JSON.stringify(identity.versions),
    typeof steps === 'number' ? steps : null,
  )
  for (const [key, value] of params)
    sql('INSERT INTO params (run, key, text, number) VALUES (?, ?, ?, ?)').run(
      run,
      key,
      typeof value === 'string' ? value : JSON.stringify(value),
      typeof value === 'number' ? value : null,
    )
  const marks = readMarks(runDir)
  for (const tag of marks.tags) sql('INSERT INTO tags (run, tag) VALUES (?, ?) ON CONFLICT DO NOTHING').run(run, tag)
  for (const note of marks.notes)
    sql('INSERT INTO notes (run, t, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(run, note.t, note.text)
  sql('UPDATE runs SET removed = ? WHERE id = ?').run(marks.removed, run)
}

/** Removes every row of a run. */
function forgetRun(store: Store, run: number): void {
  for (const table of ['metrics', 'steps']) store.sql(`DELETE FROM ${table} WHERE run = ?`).run(run)
  store.sql('DELETE FROM runs WHERE id = ?').run(run)
}
