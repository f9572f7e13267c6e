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
}

export type RecordedPoint = {
  key: string
  label: string
  seed: number
  /** Values that set the point apart from the others. */
  overrides: Record<string, unknown>
  configHash: string
  run: string | null
}

const sweepsFolder = (home: string): string => join(runsFolder(home), 'sweeps')

export function recordSweep(home: string, sweep: SweepFile, points: readonly PlannedPoint[]): void {
  if (sweep.file === null) return
  const earlier = readRecord(home, sweep.id)?.points ?? []
  const record: SweepRecord = {
    id: sweep.id,
    name: sweep.name,
    file: sweep.file,
    question: sweep.spec.question,
    metric: sweep.spec.metric,
    updated: Date.now(),
    points: [
      ...points.map(({ key, label, seed, overrides, configHash, run }) => ({
        key,
        label,
        seed,
        overrides,
        configHash,
        run,
      })),
      ...earlier.filter(({ key, run }) => run !== null && !points.some((point) => point.key === key)),
    ],
  }
  mkdirSync(sweepsFolder(home), { recursive: true, mode: 0o700 })
  replaceFile(join(sweepsFolder(home), `${sweep.id}.json`), `${JSON.stringify(record, null, 2)}\n`)
}

/** Points with runs that an earlier start of the sweep had, of labels that the file knows no longer. */
export function vanishedPoints(home: string, sweep: SweepFile): SweepRecord['points'] {
  if (sweep.file === null || sweep.spec.points === undefined) return []
  const before = readRecord(home, sweep.id)
  const labels = Object.keys(sweep.spec.points)
  const known = (label: string) => labels.some((name) => label === name || label.startsWith(`${name}, `))
  return (before?.points ?? []).filter(({ run, label }) => run !== null && !known(label))
}

/** Sweeps that were ever started here. */
export function listSweeps(home: string): SweepRecord[] {
  const folder = sweepsFolder(home)
  const names = existsSync(folder) ? readdirSync(folder) : []
  return names.flatMap((name) => (name.endsWith('.json') ? (readRecord(home, name.slice(0, -5)) ?? []) : []))
}

function readRecord(home: string, id: string): SweepRecord | null {
  try {
    return JSON.parse(readFileSync(join(sweepsFolder(home), `${id}.json`), 'utf8')) as SweepRecord
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
