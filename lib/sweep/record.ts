import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PlannedPoint } from '../core/updates.ts'
import { replaceFile } from '../run/disk.ts'
import { runsFolder } from '../run/folder.ts'
import type { SweepFile } from './spec.ts'

/** `runs/sweeps/<id>.json`: what a sweep asked and which run answers for each of its points. */
export type SweepRecord = {
  id: string
  name: string
  file: string
  question: string
  metric: { name: string; goal: 'max' | 'min' }
  /** Milliseconds since the epoch. */
  updated: number
  points: RecordedPoint[]
  /** Keys of points that `--prune` took out. */
  pruned: string[]
}

export type RecordedPoint = {
  key: string
  label: string
  seed: number
  /** Values that set the point apart from the others. */
  overrides: Record<string, unknown>
  configHash: string
  run: string | null
  /** Whether the file itself has the point; false for one that only a `--set` made. */
  inFile: boolean
}

const sweepsFolder = (home: string): string => join(runsFolder(home), 'sweeps')

/** What a session makes of a sweep: the points it works on, and the keys of all that the file has (null when nobody can tell). */
export type Recording = { points: readonly PlannedPoint[]; fileKeys: ReadonlySet<string> | null }

/**
 * Writes down what is known of the points now. Points of other sessions that have a run stay, unless they were pruned.
 * @param begins at the start of a session: what was pruned and has come back into the file is a point again
 */
export function recordSweep(
  home: string,
  sweep: SweepFile,
  { points, fileKeys }: Recording,
  { begins = false }: { begins?: boolean } = {},
): void {
  if (sweep.file === null) return
  const earlier = readRecord(home, sweep.id)
  const pruned = (earlier?.pruned ?? []).filter((key) => !(begins && fileKeys?.has(key)))
  const own = points.map(
    ({ key, label, seed, overrides, configHash, run }): RecordedPoint => ({
      key,
      label,
      seed,
      overrides,
      configHash,
      run,
      inFile: fileKeys?.has(key) ?? false,
    }),
  )
  const others = (earlier?.points ?? []).filter(
    ({ key, run }) => run !== null && !own.some((point) => point.key === key),
  )
  write(home, {
    id: sweep.id,
    name: sweep.name,
    file: sweep.file,
    question: sweep.spec.question,
    metric: sweep.spec.metric,
    updated: Date.now(),
    points: [...own, ...others].filter(({ key }) => !pruned.includes(key)),
    pruned,
  })
}

/** Points with runs that an earlier session found in the file and that are gone from it; not those whose run has a new name there. */
export function vanishedPoints(home: string, sweep: SweepFile, { points, fileKeys }: Recording): RecordedPoint[] {
  if (sweep.file === null || fileKeys === null) return []
  const inUse = new Set(points.map(({ run }) => run))
  const before = readRecord(home, sweep.id)?.points ?? []
  return before.filter(({ key, run, inFile }) => run !== null && inFile && !fileKeys.has(key) && !inUse.has(run))
}

/** Takes points out of a sweep for good: no session that still has them in its plan begins them. */
export function prunePoints(home: string, sweep: SweepFile, keys: readonly string[]): void {
  const record = readRecord(home, sweep.id)
  if (record === null) return
  const points = record.points.filter(({ key }) => !keys.includes(key))
  write(home, { ...record, points, pruned: [...new Set([...record.pruned, ...keys])] })
}

export const isPruned = (home: string, sweep: SweepFile, key: string): boolean =>
  readRecord(home, sweep.id)?.pruned.includes(key) ?? false

/** Sweeps that were ever started here. */
export function listSweeps(home: string): SweepRecord[] {
  const folder = sweepsFolder(home)
  const names = existsSync(folder) ? readdirSync(folder) : []
  return names.flatMap((name) => (name.endsWith('.json') ? (readRecord(home, name.slice(0, -5)) ?? []) : []))
}

function write(home: string, record: SweepRecord): void {
  mkdirSync(sweepsFolder(home), { recursive: true, mode: 0o700 })
  replaceFile(join(sweepsFolder(home), `${record.id}.json`), `${JSON.stringify(record, null, 2)}\n`)
}

function readRecord(home: string, id: string): SweepRecord | null {
  try {
    const record = JSON.parse(readFileSync(join(sweepsFolder(home), `${id}.json`), 'utf8')) as SweepRecord
    const points = record.points.map((point) => ({
      ...point,
      overrides: point.overrides ?? {},
      inFile: point.inFile ?? true,
    }))
    return { ...record, points, pruned: record.pruned ?? [] } // what earlier versions did not write
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
