import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { freezeConfig } from '../config/hash.ts'
import { parseConfigText } from '../config/load.ts'
import { EXIT, UserError } from '../core/errors.ts'
import type { RunStatus } from '../core/updates.ts'
import { writeDurably } from '../run/disk.ts'
import { runsFolder } from '../run/folder.ts'
import type { SweepPoint } from './points.ts'
import type { SweepFile } from './spec.ts'

/**
 * A session that goes on in another process: its points as they were planned and shown, not as the files say by then. What is to be done
 * with each is decided again from the runs that there are.
 */
export type Handoff = {
  sweep: SweepFile
  points: SweepPoint[]
  /** Keys of all points of the file when it was read. */
  fileKeys: ReadonlySet<string> | null
  /** The run that stands for each point, where runs were asked for by name. */
  runs?: string[]
  retry: ReadonlySet<RunStatus>
  since: number
  force: boolean
  jobs: number | null
  /** Infinity where nothing stops the sweep. */
  maxFailures: number
  /** The command line that began the session. */
  argv: readonly string[]
}

/** Writes a session down for `takeHandoff`, under a name of its own; returns the file. */
export function writeHandoff(home: string, handoff: Handoff): string {
  const { sweep, points, fileKeys, retry, maxFailures, ...rest } = handoff
  const { where: _, ...described } = sweep
  const folder = join(runsFolder(home), 'sweeps')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, `${sweep.id}.${randomUUID()}.handoff`)
  const text = JSON.stringify({
    ...rest,
    sweep: described,
    points: points.map(({ config, ...point }) => ({ ...point, config: freezeConfig(config) })),
    fileKeys: fileKeys && [...fileKeys],
    retry: [...retry],
    maxFailures: Number.isFinite(maxFailures) ? maxFailures : null, // JSON has no Infinity
  })
  writeDurably(file, Buffer.from(text))
  return file
}

/**
 * Reads what `writeHandoff` wrote, and removes it: a session goes on once.
 * @throws UserError when it is not there
 */
export function takeHandoff(file: string): Handoff {
  const { sweep, points, fileKeys, retry, maxFailures, ...rest } = readHandoff(file)
  rmSync(file, { force: true })
  return {
    ...rest,
    sweep: { ...sweep, where: () => sweep.name },
    points: points.map((point) => ({ ...point, config: parseConfigText(point.config, `${file}, ${point.key}`) })),
    fileKeys: fileKeys && new Set(fileKeys),
    retry: new Set(retry),
    maxFailures: maxFailures ?? Number.POSITIVE_INFINITY,
  }
}

type Written = Omit<Handoff, 'sweep' | 'points' | 'fileKeys' | 'retry' | 'maxFailures'> & {
  sweep: Omit<SweepFile, 'where'>
  points: (Omit<SweepPoint, 'config'> & { config: string })[]
  fileKeys: string[] | null
  retry: RunStatus[]
  maxFailures: number | null
}

function readHandoff(file: string): Written {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Written
  } catch (error) {
    throw new UserError(`${file} is no session that could go on.`, {
      hint: 'gvx sweep FILE --detach starts one',
      exitCode: EXIT.nothingFound,
      cause: error,
    })
  }
}
