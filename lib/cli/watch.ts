import { setTimeout as sleep } from 'node:timers/promises'
import { EXIT } from '../core/errors.ts'
import { plural } from '../core/text.ts'
import type { Observe, PlannedPoint, RunStatus, Update } from '../core/updates.ts'
import { localLauncher } from '../launch/local.ts'
import { cancelRun, stopRun } from '../launch/signal.ts'
import { listRuns, openRun, type RunFolder, type RunIdentity, readRunConfig } from '../run/folder.ts'
import { readRunState } from '../run/follow.ts'
import { hasEnded } from '../run/status.ts'
import { readMarks } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import { createWatcher } from '../store/watch.ts'
import { thisMachine, threadsEach } from '../sweep/capacity.ts'
import { listSweeps, type SweepRecord } from '../sweep/record.ts'
import { defineCommand } from './command.ts'
import { openDisplay } from './display.ts'
import { screenActions } from './screen-actions.ts'

type Args = { runs: string[] }

const POLL_MS = 500
/** Between the end of a run and the start of its sweep's next one: so long nothing may happen before watching ends. */
const QUIET_MS = 4000

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
    const named = args.runs.map((name) => openRun(home, `run${resolveRunName(store, name)}`))
    const shown = named.length > 0 ? named : runningWithTheirSweeps(home)
    if (shown.length === 0) {
      setExit(EXIT.nothingFound)
      say('nothing is running: gvx sweep ablations/stages.yaml starts something, gvx runs lists what has run.')
      return
    }
    const sweeps = named.length > 0 ? [] : sweepsOf(shown, home)
    const wanted = wantedBy(shown, sweeps)
    const leaving = new AbortController()
    const leave = () => leaving.abort()
    process.once('SIGINT', leave)
    const actions = screenActions(home, store, (run) => goOnWith(home, run))
    const display = await openDisplay({ plain: args.plain ?? false, home, actions, write: context.write })
    const left = display.outcome.then((outcome) => {
      leave()
      return outcome
    })
    const status = new Map<string, RunStatus>()
    display.observe(sessionOf(shown, sweeps))
    const watcher = createWatcher({ home, store, wanted, observe: noting(status, display.observe) })
    try {
      await watchUntilQuiet(watcher, status, leaving.signal)
      if (!leaving.signal.aborted) display.observe(summaryOf(status))
      const outcome = await Promise.race([left, display.close().then(() => 'done')])
      if (outcome === 'stop' || outcome === 'cancel') endAll(home, status, outcome, say)
    } finally {
      await display.close()
      process.off('SIGINT', leave)
    }
  },
})

/** Polls until everything has ended and stayed so, or somebody leaves. */
async function watchUntilQuiet(
  watcher: { poll(): void },
  status: ReadonlyMap<string, RunStatus>,
  signal: AbortSignal,
): Promise<void> {
  let quiet = 0
  let known = 0
  while (quiet <= QUIET_MS && !signal.aborted) {
    watcher.poll()
    const busy = [...status.values()].some((s) => !hasEnded(s))
    quiet = busy || status.size > known ? 0 : quiet + POLL_MS
    known = status.size
    await sleep(POLL_MS, null, { signal }).catch(() => {})
  }
}

/** The runs that somebody works on, and what their sweeps have made so far. */
function runningWithTheirSweeps(home: string): RunFolder[] {
  const runs = listRuns(home).filter(({ dir }) => readMarks(dir).removed === null)
  const running = runs.filter(({ dir }) => ['running', 'starting'].includes(readRunState(dir).status))
  const sweeps = new Set(running.map(({ identity }) => identity.sweep))
  return runs.filter((run) => running.includes(run) || (run.identity.sweep !== null && sweeps.has(run.identity.sweep)))
}

const sweepsOf = (runs: readonly RunFolder[], home: string): SweepRecord[] =>
  listSweeps(home).filter(({ id }) => runs.some(({ identity }) => identity.sweep === id))

/** The runs that are shown, and those that their sweeps will start. */
function wantedBy(runs: readonly RunFolder[], sweeps: readonly SweepRecord[]): (identity: RunIdentity) => boolean {
  const ids = new Set(runs.map(({ identity }) => identity.id))
  return ({ id, sweep }) => ids.has(id) || sweeps.some((record) => record.id === sweep)
}

/** Runs that exist and points that still wait for one. */
function sessionOf(runs: readonly RunFolder[], sweeps: readonly SweepRecord[]): Update {
  const existing = runs.map(({ dir, identity }): PlannedPoint => {
    const { id, point, label, seed, configHash } = identity
    const totalSteps = readRunConfig(dir).train.steps
    const reason = `made as ${id}`
    return {
      key: point ?? id,
      label,
      seed,
      overrides: {},
      configHash,
      totalSteps,
      action: 'running',
      reason,
      run: id,
    }
  })
  const waiting = sweeps.flatMap(({ points }) =>
    points
      .filter(({ key }) => !existing.some((point) => point.key === key))
      .map(
        (point): PlannedPoint => ({
          ...point,
          overrides: {},
          totalSteps: existing[0]?.totalSteps ?? 0,
          action: 'new',
          reason: 'waits for its turn',
        }),
      ),
  )
  const title = sweeps.map(({ name }) => name).join(', ') || runs.map(({ identity }) => identity.id).join(', ')
  const question = sweeps.map((sweep) => sweep.question).join(' ')
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
async function goOnWith(home: string, run: string): Promise<void> {
  const live = listRuns(home).filter(({ dir }) => !hasEnded(readRunState(dir).status)).length
  await localLauncher().start(openRun(home, run), { threads: threadsEach(live + 1, thisMachine()) })
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
