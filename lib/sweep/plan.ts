import type { PlannedPoint, PointAction, RunStatus } from '../core/updates.ts'
import type { RunState } from '../run/status.ts'
import type { SweepPoint } from './points.ts'

/** A run that exists already, as far as a plan cares. */
export type KnownRun = {
  /** `run12` */
  id: string
  configHash: string
  seed: number
  /** Commit of the code that made it, or null. */
  commit: string | null
  /** Milliseconds since the epoch. */
  created: number
  /** Machine of its newest attempt, or null before the first. */
  host: string | null
  /** Why a sweep gave it up before its end, or null. */
  givenUp: string | null
  state: RunState
}

export type PlanOptions = {
  /** Ended points that are taken up again. Unfinished ones (stopped, preempted, lost) always are, unless `earlyStop` ended them. */
  retry?: ReadonlySet<RunStatus>
  /** Runs made before this moment (milliseconds since the epoch) do not count: everything is trained anew. */
  since?: number
  /** Commit of the code that would run now. */
  commit?: string | null
}

export type PlanEntry = { point: SweepPoint; planned: PlannedPoint }

/** What to do for each point, and why: a pure function of the points and the runs that exist. */
export function planSweep(
  points: readonly SweepPoint[],
  runs: readonly KnownRun[],
  options: PlanOptions = {},
): PlanEntry[] {
  return points.map((point) => {
    const own = runs.filter((run) => run.configHash === point.configHash && run.seed === point.seed)
    const { action, reason, run } = decide(own, options)
    const { key, label, seed, overrides, configHash, config } = point
    const totalSteps = config.train.steps
    return { point, planned: { key, label, seed, overrides, configHash, totalSteps, action, reason, run } }
  })
}

type Decision = { action: PointAction; reason: string; run: string | null }

/** Which of several runs stands for a point: what is done before what is under way before what can go on. */
const PRECEDENCE: RunStatus[] = ['finished', 'running', 'starting', 'stopped', 'preempted', 'lost', 'queued', 'failed']

function decide(all: readonly KnownRun[], { retry, since = 0, commit }: PlanOptions): Decision {
  const [best] = all
    .filter(({ created }) => created >= since)
    .sort(
      (a, b) =>
        PRECEDENCE.indexOf(a.state.status) - PRECEDENCE.indexOf(b.state.status) ||
        b.state.step - a.state.step ||
        numberOf(b) - numberOf(a),
    )
  if (best === undefined) {
    const earlier = all.map(({ id }) => id).sort()
    const reason = earlier.length === 0 ? 'never trained' : `again, beside ${earlier.join(', ')}`
    return { action: 'new', reason, run: null }
  }
  const { id, state } = best
  switch (state.status) {
    case 'running':
    case 'starting':
      return { action: 'running', reason: `running as ${id}${best.host ? ` on ${best.host}` : ''}`, run: id }
    case 'finished':
      return { action: 'skip', reason: `finished as ${id}${olderCode(best, commit)}`, run: id }
    case 'failed': {
      const why = `failed as ${id}${state.error ? `: ${state.error}` : ''}`
      if (retry?.has('failed')) return { action: 'retry', reason: why, run: id }
      return { action: 'skip', reason: `${why} (--retry failed tries it again)`, run: id }
    }
    default:
      if (best.givenUp !== null) {
        const why = `given up as ${id}: ${best.givenUp}`
        if (retry?.has('stopped')) return { action: 'retry', reason: `${why}; ${whereFrom(state)}`, run: id }
        return { action: 'skip', reason: `${why} (--retry stopped goes on with it)`, run: id }
      }
      return { action: 'resume', reason: `${state.status} as ${id}, ${whereFrom(state)}`, run: id }
  }
}

const whereFrom = ({ checkpoint }: RunState): string =>
  checkpoint === null ? 'from the beginning' : `from its checkpoint of step ${checkpoint}`

function olderCode(run: KnownRun, commit: string | null | undefined): string {
  const differs = commit && run.commit && commit !== run.commit
  return differs ? ` with other code (${run.commit!.slice(0, 7)})` : ''
}

const numberOf = (run: KnownRun): number => Number(run.id.replace(/\D/g, ''))
