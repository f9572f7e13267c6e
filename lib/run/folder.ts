import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { freezeConfig } from '../config/hash.ts'
import { parseConfigText } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { EXIT, UserError } from '../core/errors.ts'
import { claimFile, replaceFile } from './disk.ts'
import type { Provenance } from './provenance.ts'

/** What a run is, for ever: `run.json` is written once. */
export type RunIdentity = {
  /** `run12` */
  id: string
  name: string
  kind: 'train' | 'imported'
  /** Milliseconds since the epoch. */
  created: number
  configHash: string
  seed: number
  /** Id of the sweep that made the run, and the point's key in it. */
  sweep: string | null
  point: string | null
  /** Name of the point without its seed: runs with the same label are one row of the leaderboard. */
  label: string
} & Provenance

export type RunFolder = { dir: string; identity: RunIdentity }

export type NewRun = Omit<RunIdentity, 'id' | 'created'> & { config: Config; dirtyDiff?: string | null }

export const runsFolder = (home: string): string => join(home, 'runs')

/** Makes `runs/runN` with the next free number. Its `run.json` comes last: a folder without one is no run yet. */
export function createRun(home: string, run: NewRun): RunFolder {
  return writeRun(reserveRun(home), run)
}

/** Takes the next free number by creating its folder, which the system grants to one caller only. */
export function reserveRun(home: string): string {
  const runs = runsFolder(home)
  mkdirSync(runs, { recursive: true, mode: 0o700 })
  for (let n = 1 + Math.max(0, ...runNumbers(runs)); ; n++) {
    const dir = join(runs, `run${n}`)
    try {
      mkdirSync(dir, { mode: 0o700 })
      return dir
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Fills a reserved folder. Repeating it after a crash in its middle completes it. */
function writeRun(dir: string, { config, dirtyDiff, ...rest }: NewRun): RunFolder {
  const identity: RunIdentity = { id: basename(dir), created: Date.now(), ...rest }
  for (const folder of ['checkpoints', 'evals']) mkdirSync(join(dir, folder), { recursive: true, mode: 0o700 })
  writeFileSync(join(dir, 'config.yaml'), freezeConfig(config), { mode: 0o600 })
  if (dirtyDiff) writeFileSync(join(dir, 'dirty.diff'), dirtyDiff, { mode: 0o600 })
  replaceFile(join(dir, 'run.json'), `${JSON.stringify(identity, null, 2)}\n`)
  return { dir, identity }
}

/** A run by its id (`run12`) or its folder. Throws a UserError when there is none. */
export function openRun(home: string, id: string): RunFolder {
  return openRunFolder(join(runsFolder(home), id))
}

export function openRunFolder(dir: string): RunFolder {
  const identity = readIdentity(dir)
  if (identity === null)
    throw new UserError(`there is no run in ${dir}`, { hint: '`gvx runs` lists the runs', exitCode: EXIT.nothingFound })
  return { dir, identity }
}

/** The frozen configuration of a run, parsed by the schema of this version. */
export function readRunConfig(dir: string): Config {
  const file = join(dir, 'config.yaml')
  return parseConfigText(readFileSync(file, 'utf8'), file)
}

/** All runs, oldest first. */
export function listRuns(home: string): RunFolder[] {
  const runs = runsFolder(home)
  return runNumbers(runs).flatMap((n) => {
    const dir = join(runs, `run${n}`)
    const identity = readIdentity(dir)
    return identity === null ? [] : [{ dir, identity }]
  })
}

/**
 * Finds or makes the run that stands for a point. Of any number of supervisors that want the same point at the same
 * time one makes the run and all get it: `runs/points/<key>.<n>` names it and can be created once.
 * @param n what `nextClaim` said before the caller looked which runs there are
 */
export function claimPoint(home: string, key: string, n: number, run: NewRun): { folder: RunFolder; mine: boolean } {
  const points = join(runsFolder(home), 'points')
  mkdirSync(points, { recursive: true, mode: 0o700 })
  const claim = join(points, `${key}.${n}`)
  const reserved = reserveRun(home)
  if (claimFile(claim, basename(reserved))) return { folder: writeRun(reserved, run), mine: true }
  rmdirSync(reserved)
  const winner = claimedRun(claim, runsFolder(home))!
  const identity = readIdentity(winner)
  // The winner may have died, or be still busy, between its claim and run.json; writing the same bytes again is harmless.
  if (identity === null) mkdirSync(winner, { recursive: true, mode: 0o700 })
  return { folder: identity === null ? writeRun(winner, run) : { dir: winner, identity }, mine: false }
}

/**
 * The number that `claimPoint` takes for a point: one more than the runs made for it. A run that is claimed but has no
 * `run.json` yet is being made at this moment, and is joined rather than doubled.
 */
export function nextClaim(home: string, key: string): number {
  const runs = runsFolder(home)
  for (let n = 1; ; n++) {
    const dir = claimedRun(join(runs, 'points', `${key}.${n}`), runs)
    const inTheMaking = dir !== null && existsSync(dir) && !existsSync(join(dir, 'run.json'))
    if (dir === null || inTheMaking) return n
  }
}

function claimedRun(claim: string, runs: string): string | null {
  try {
    return join(runs, basename(readFileSync(claim, 'utf8').trim()))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

function readIdentity(dir: string): RunIdentity | null {
  try {
    return JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8')) as RunIdentity
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || error instanceof SyntaxError) return null
    throw error
  }
}

function runNumbers(runs: string): number[] {
  try {
    return readdirSync(runs)
      .flatMap((name) => /^run(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
