import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT } from '../core/errors.ts'
import { plural } from '../core/text.ts'
import type { Observe, PlannedPoint, RunStatus, Update } from '../core/updates.ts'
import { localLauncher } from '../launch/local.ts'
import { cancelRun, stopRun } from '../launch/signal.ts'
import { overruleEarlyStop } from '../run/early-stop.ts'
import { openRun, type RunIdentity } from '../run/folder.ts'
import { hasEnded } from '../run/status.ts'
import { briefRuns, differingValues, type RunBrief } from '../store/brief.ts'
import { resolveRunName } from '../store/names.ts'
import type { Store } from '../store/open.ts'
import { createWatcher, type Watcher } from '../store/watch.ts'
import { thisMachine, threadsEach } from '../sweep/capacity.ts'
import { listSweeps, type SweepRecord } from '../sweep/record.ts'
import { defineCommand } from './command.ts'
import { openDisplay } from './display.ts'
import { screenActions } from './screen-actions.ts'

type Args = { runs: string[] }

const POLL_MS = 1000
/** Between the end of a run and the start of its sweep's next one: so long nothing may happen before the lines end. */
const QUIET_MS = 4000
/** So long a run may wait for its worker to begin; later it is one that nobody came for. */
const STARTING_MS = 60_000
/** The first look at many long logs is cut into pieces of about this size, so that keys are answered in between. */
const BUDGET_MS = 80

export default defineCommand<Args, void>({
  builder: (y) =>
    y.positional('runs', {
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'Runs to watch; those that run now, with the rest of their sweeps, when none is named',
    }),
  async run(args, context) {
    const { home, say, setExit } = context
    const store = await context.store()
    const shown = args.runs.length > 0 ? named(args.runs, store) : running(store, home)
    if (shown.runs.length === 0) {
      setExit(EXIT.nothingFound)
      say('nothing is running: gvx sweep ablations/stages.yaml starts something, gvx runs lists what has run.')
      return
    }
    const leaving = new AbortController()
    const leave = () => leaving.abort()
    process.once('SIGINT', leave)
    const actions = screenActions(home, store, (run) => goOnWith(run, store))
    const display = await openDisplay({ plain: args.plain ?? false, home, actions, write: context.write })
    const left = display.outcome.then((outcome) => {
      leave()
      return outcome
    })
    const status = new Map<string, RunStatus>()
    const keyOf = keysOf(shown)
    display.observe(sessionOf(shown, keyOf, store))
    if (display.live)
      for (const { run, status } of shown.runs) display.observe({ type: 'run.status', run, status, reason: null })
    const watcher = createWatcher({
      home,
      store,
      wanted: wantedBy(shown),
      keyOf,
      budgetMs: display.live ? BUDGET_MS : Number.POSITIVE_INFINITY,
      observe: noting(status, display.observe),
    })
    try {
      await follow(watcher, status, display.live, leaving.signal)
      if (!leaving.signal.aborted) display.observe(summaryOf(status))
      const outcome = await Promise.race([left, display.close().then(() => 'done')])
      if (outcome === 'stop' || outcome === 'cancel') endAll(home, status, outcome, say)
    } finally {
      await display.close()
      process.off('SIGINT', leave)
    }
  },
})

/** Polls until somebody leaves or, where nobody has to, until everything has ended and stayed so. */
async function follow(
  watcher: Watcher,
  status: ReadonlyMap<string, RunStatus>,
  live: boolean,
  signal: AbortSignal,
): Promise<void> {
  let quiet = 0
  let known = 0
  while (quiet <= QUIET_MS && !signal.aborted) {
    const more = watcher.poll()
    const busy = live || more || status.size > known || [...status.values()].some((s) => !hasEnded(s))
    quiet = busy ? 0 : quiet + POLL_MS
    known = status.size
    await sleep(more ? 0 : POLL_MS, null, { signal }).catch(() => {})
  }
}

/** What is watched: runs, sweeps of which more runs may come, and the one sweep that all the runs are of, if there is such a one. */
type Shown = { runs: RunBrief[]; sweeps: SweepRecord[]; about: SweepRecord | null }

function named(names: readonly string[], store: Store): Shown {
  const ids = new Set(names.map((name) => resolveRunName(store, name)))
  const runs = briefRuns(store, { removed: true }).filter(({ id }) => ids.has(id))
  const holdsAll = ({ points }: SweepRecord) => runs.every(({ run }) => points.some((point) => point.run === run))
  return { runs, sweeps: [], about: listSweeps(store.home).find(holdsAll) ?? null }
}

const isAtWork = ({ status, created }: RunBrief): boolean =>
  status === 'running' || status === 'starting' || (status === 'queued' && Date.now() - created < STARTING_MS)

/** The runs that somebody works on, and the runs that stand for the other points of their sweeps. */
function running(store: Store, home: string): Shown {
  const all = briefRuns(store)
  const atWork = new Set(all.filter(isAtWork).map(({ run }) => run))
  const sweeps = listSweeps(home).filter(({ points }) => points.some(({ run }) => run !== null && atWork.has(run)))
  const theirs = new Set(sweeps.flatMap(({ points }) => points.flatMap(({ run }) => run ?? [])))
  const runs = all.filter(({ run }) => atWork.has(run) || theirs.has(run))
  return { runs, sweeps, about: sweeps.length === 1 ? sweeps[0] : null }
}

/** The runs that are shown, and those that their sweeps will start. */
function wantedBy({ runs, sweeps }: Shown): (identity: RunIdentity) => boolean {
  const known = new Set(runs.map(({ run }) => run))
  return ({ id, sweep }) => known.has(id) || sweeps.some((record) => record.id === sweep)
}

/** Key of the point of a run; two sweeps may have points of the same key. */
function keysOf({ runs, sweeps }: Shown): (identity: Pick<RunIdentity, 'id' | 'sweep' | 'point'>) => string {
  const inSweep = (record: SweepRecord, key: string) => (sweeps.length > 1 ? `${record.name}: ${key}` : key)
  const keys = new Map<string, string>()
  for (const record of sweeps)
    for (const { key, run } of record.points) if (run !== null) keys.set(run, inSweep(record, key))
  const unique = (point: string) => runs.filter((run) => run.point === point).length === 1
  return ({ id, sweep, point }) => {
    const record = sweeps.find((candidate) => candidate.id === sweep)
    if (point === null || !(record || unique(point))) return keys.get(id) ?? id
    return keys.get(id) ?? (record ? inSweep(record, point) : point)
  }
}

/** What sets each run apart: what the sweep file says where there is one, else whatever differs. */
function valuesOf({ runs, about }: Shown, store: Store): (run: RunBrief) => Record<string, unknown> {
  if (about) {
    const points = new Map(about.points.map((point) => [point.run, point.overrides]))
    return ({ run }) => points.get(run) ?? {}
  }
  const values = differingValues(
    store,
    runs.map(({ id }) => id),
  )
  return ({ id }) => values.get(id)!
}

/** Runs that exist and points that still wait for one. */
function sessionOf(shown: Shown, keyOf: ReturnType<typeof keysOf>, store: Store): Update {
  const { runs, sweeps, about } = shown
  const overridesOf = valuesOf(shown, store)
  const existing = runs.map((brief): PlannedPoint => {
    const { run, label, seed, configHash, totalSteps, sweep, point, status } = brief
    const overrides = overridesOf(brief)
    const key = keyOf({ id: run, sweep, point })
    return { key, label, seed, overrides, configHash, totalSteps, action: 'watch', reason: `${run} is ${status}`, run }
  })
  const waiting = sweeps.flatMap((record) =>
    record.points
      .filter(({ run }) => run === null)
      .map(
        ({ key, overrides, ...point }): PlannedPoint => ({
          ...point,
          key: keyOf({ id: '', sweep: record.id, point: key }),
          overrides,
          totalSteps: existing[0]?.totalSteps ?? 0,
          action: 'new',
          reason: 'waits for its turn',
        }),
      ),
  )
  const told = about ? [about] : sweeps
  const title = told.map(({ name }) => name).join(', ') || runs.map(({ run }) => run).join(', ')
  const question = told.map((sweep) => sweep.question).join(' ')
  const points = [...existing, ...waiting]
  return { type: 'session', title, question, file: sweeps[0]?.file ?? null, jobs: existing.length, points }
}

/** Passes updates on and remembers the status of each run. */
const noting =
  (status: Map<string, RunStatus>, observe: Observe): Observe =>
  (update) => {
    if (update.type === 'run.status') status.set(update.run, update.status)
    observe(update)
  }

function summaryOf(status: ReadonlyMap<string, RunStatus>): Update {
  const count = (...wanted: RunStatus[]) => [...status.values()].filter((s) => wanted.includes(s)).length
  const ended = { finished: count('finished'), failed: count('failed', 'lost'), stopped: count('stopped', 'preempted') }
  return { type: 'session.done', ...ended, skipped: 0 }
}

/** A worker for a run that has ended, started from the screen; it takes the share of one among all that run. */
async function goOnWith(run: string, store: Store): Promise<void> {
  const folder = openRun(store.home, run)
  overruleEarlyStop(folder.dir, Date.now())
  const live = briefRuns(store).filter(({ status }) => !hasEnded(status)).length
  await localLauncher().start(folder, { threads: threadsEach(live + 1, thisMachine()) })
}

function endAll(
  home: string,
  status: ReadonlyMap<string, RunStatus>,
  how: 'stop' | 'cancel',
  say: (text: string) => void,
): void {
  const end = how === 'stop' ? stopRun : cancelRun
  const ended = [...status].filter(([run, s]) => !hasEnded(s) && end(openRun(home, run)))
  say(`${plural(ended.length, 'run')} asked to ${how === 'stop' ? 'finish the step, save and end' : 'end at once'}`)
}
