import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
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
  /** Milliseconds since the epoch of the latest start. */
  updated: number
  points: { key: string; label: string; seed: number; configHash: string; run: string | null }[]
}

const sweepsFolder = (home: string): string => join(runsFolder(home), 'sweeps')

export function recordSweep(home: string, sweep: SweepFile, points: readonly PlannedPoint[]): void {
  if (sweep.file === null) return
  const record: SweepRecord = {
    id: sweep.id,
    name: sweep.name,
    file: sweep.file,
    question: sweep.spec.question,
    metric: sweep.spec.metric,
    updated: Date.now(),
    points: points.map(({ key, label, seed, configHash, run }) => ({ key, label, seed, configHash, run })),
  }
  mkdirSync(sweepsFolder(home), { recursive: true, mode: 0o700 })
  replaceFile(join(sweepsFolder(home), `${sweep.id}.json`), `${JSON.stringify(record, null, 2)}\n`)
}

/** Sweeps that were ever started here. */
export function listSweeps(home: string): SweepRecord[] {
  try {
    return readdirSync(sweepsFolder(home))
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join(sweepsFolder(home), name), 'utf8')) as SweepRecord)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
