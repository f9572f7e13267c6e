import { lastAttempt } from '../run/attempt.ts'
import { readEarlyStop } from '../run/early-stop.ts'
import { listRuns, nextClaim } from '../run/folder.ts'
import { followRun } from '../run/follow.ts'
import { readMarks } from '../store/marks.ts'
import type { KnownRun } from './plan.ts'
import type { SweepPoint } from './points.ts'

export type Known = {
  runs: KnownRun[]
  /** For each point identity the number under which a new run of it is claimed. */
  claims: ReadonlyMap<string, number>
}

/** The runs that stand for any of the points and were not taken out by `gvx rm`; only their logs are read. */
export function knownRuns(home: string, points: readonly SweepPoint[], { force = false } = {}): Known {
  // Claims first: a run that is made between the two looks is then seen, or met at its claim, but never doubled.
  const claims = new Map(points.map(pointIdentity).map((identity) => [identity, nextClaim(home, identity)]))
  const runs = listRuns(home)
    .filter(({ dir, identity }) => claims.has(pointIdentity(identity)) && readMarks(dir).removed === null)
    .map(({ dir, identity: { id, configHash, seed, git, created } }) => ({
      id,
      configHash,
      seed,
      commit: git.commit,
      created,
      host: lastAttempt(dir)?.process.host ?? null,
      givenUp: readEarlyStop(dir),
      state: followRun(dir, { force })(),
    }))
  return { runs, claims }
}

/** Name of a configuration with its seed, as the claims in `runs/points` are called. */
export const pointIdentity = ({ configHash, seed }: { configHash: string; seed: number }): string =>
  `${configHash}-${seed}`
