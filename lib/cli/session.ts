import { join } from 'node:path'
import { EXIT, messageOf } from '../core/errors.ts'
import { plural } from '../core/text.ts'
import type { PlannedPoint, RunStatus } from '../core/updates.ts'
import { runDetached } from '../launch/detached.ts'
import { localLauncher } from '../launch/local.ts'
import { runsFolder } from '../run/folder.ts'
import { readProvenance } from '../run/provenance.ts'
import { createRecorder } from '../store/recorder.ts'
import { fittingJobs, thisMachine, threadsEach } from '../sweep/capacity.ts'
import { writeHandoff } from '../sweep/handoff.ts'
import { knownRuns } from '../sweep/known.ts'
import { planSweep } from '../sweep/plan.ts'
import type { SweepPoint } from '../sweep/points.ts'
import { prepareData } from '../sweep/prepare.ts'
import { vanishedPoints } from '../sweep/record.ts'
import { runSweep, type SweepResult } from '../sweep/run.ts'
import type { SweepFile } from '../sweep/spec.ts'
import type { Context } from './command.ts'
import { openDisplay } from './display.ts'
import { listenForOrders } from './orders.ts'
import { prune } from './prune.ts'
import { screenActions } from './screen-actions.ts'

/** What `gvx sweep`, `gvx train` and `gvx resume` ask for. */
export type SessionRequest = {
  sweep: SweepFile
  points: SweepPoint[]
  /** The run that stands for each point, whatever other runs have its configuration: `gvx resume`. */
  runs?: string[]
  /** Keys of all points that the sweep's file has; left out where there is no sweep file. */
  fileKeys?: ReadonlySet<string> | null
  /** Stops the runs of points that are gone from the file; `sure` does not ask. */
  prune?: { sure: boolean } | null
  /** Points that ended so are taken up again. */
  retry: ReadonlySet<RunStatus>
  /** Runs made before do not count (`--rerun`), in ms since the epoch. */
  since: number
  force: boolean
  jobs: number | null
  maxFailures: number
  plain: boolean
  /** Plain lines go to stderr, because stdout is for the data: `--json` and its like. */
  toStderr: boolean
  dryRun: boolean
  detach: boolean
}

export type SessionData = {
  sweep: string
  question: string
  file: string | null
  points: PlannedPoint[]
  /** null when nothing was run: a dry run, or left to the background. */
  result: SweepResult | null
}

/** Plans, prepares the data, trains, and shows it all; the exit code is set on the context. */
export async function runSession(request: SessionRequest, context: Context): Promise<SessionData> {
  const { sweep, points } = request
  const { home } = context
  const provenance = await readProvenance(['gvx', ...context.argv])
  const { runs, claims } = knownRuns(home, points, { force: request.force })
  const options = { retry: request.retry, since: request.since, commit: provenance.git.commit }
  const plan = request.runs
    ? points.flatMap((point, i) =>
        planSweep(
          [point],
          runs.filter(({ id }) => id === request.runs![i]),
          options,
        ),
      )
    : planSweep(points, runs, options)
  const fileKeys = request.fileKeys ?? null
  if (request.prune) {
    const { sure } = request.prune
    await prune(
      sweep,
      { points: plan.map(({ planned }) => planned), fileKeys },
      { sure, dryRun: request.dryRun },
      context,
    )
  }
  const data = { sweep: sweep.id, question: sweep.spec.question, file: sweep.file, points: plan.map((e) => e.planned) }
  if (request.dryRun) {
    if (!request.prune) nameVanished(request, data.points, context)
    return { ...data, result: null }
  }
  if (request.detach) {
    await goOnInBackground(request, context)
    return { ...data, result: null }
  }

  const store = await context.store({ create: true })
  const machine = thisMachine()
  const working = plan.filter(({ planned }) => planned.action !== 'skip').map(({ point }) => point.config)
  const jobs = request.jobs ?? (working.length === 0 ? 1 : fittingJobs(working, machine))
  const orders = listenForOrders()
  const retries: string[] = []
  const display = await openDisplay({
    plain: request.plain || request.toStderr || working.length === 0,
    home,
    actions: screenActions(home, store, (run) => void retries.push(run)),
    write: request.toStderr ? (text) => context.say(text.trimEnd()) : context.write,
  })
  display.outcome.then((outcome) => outcome !== 'done' && orders.give(outcome))
  try {
    await prepareData(working, home, display.observe, () => orders.current() === 'go')
    const result = await runSweep({
      home,
      sweep,
      plan,
      fileKeys,
      claims,
      launcher: localLauncher(),
      jobs,
      threads: threadsEach(jobs, machine),
      provenance,
      observe: display.observe,
      order: orders.current,
      record: createRecorder(store, (dir, error) =>
        display.observe({
          type: 'message',
          level: 'warning',
          text: `runs.db could not take ${dir}: ${messageOf(error)}`,
        }),
      ),
      maxFailures: request.maxFailures,
      force: request.force,
      takeRetries: () => retries.splice(0),
    })
    await display.close()
    if (result.left.length > 0) await goOnInBackground(partOf(request, new Set(result.left)), context)
    setExitCode(result, orders.exitCode(), context)
    return { ...data, result }
  } finally {
    await display.close()
    orders.dispose()
  }
}

/** What a session would say of points that are gone from the file, said by a dry run. */
function nameVanished(
  { sweep, fileKeys = null }: SessionRequest,
  points: PlannedPoint[],
  { home, say }: Context,
): void {
  for (const { key, run } of vanishedPoints(home, sweep, { points, fileKeys }))
    say(`${key} is no longer in the file; ${run} is left alone (--prune stops it)`)
}

/** What of a session is still to be done: a point that has failed or was stopped in it is not taken up once more by whoever goes on. */
function partOf(request: SessionRequest, keys: ReadonlySet<string>): SessionRequest {
  const isLeft = request.points.map(({ key }) => keys.has(key))
  return {
    ...request,
    points: request.points.filter((_, i) => isLeft[i]),
    runs: request.runs?.filter((_, i) => isLeft[i]),
  }
}

async function goOnInBackground(request: SessionRequest, { home, argv, say }: Context): Promise<void> {
  const { sweep, points, runs, fileKeys = null, retry, since, force, jobs, maxFailures } = request
  const session = { sweep, points, runs, fileKeys, retry, since, force, jobs, maxFailures, argv }
  const handoff = writeHandoff(home, session)
  const log = join(runsFolder(home), 'sweeps', `${sweep.id}.log`)
  const pid = await runDetached(['supervise', handoff, '--home', home], log)
  say(`${sweep.name} goes on in the background (process ${pid}): gvx watch shows it, ${log} is its log`)
}

function setExitCode(
  { failed, failedRuns, stopped, stoppedEarly }: SweepResult,
  interrupted: 0 | 130 | 143,
  context: Context,
): void {
  if (failed > 0) {
    context.setExit(EXIT.failedRuns)
    const some = failedRuns.slice(0, 5).join(', ') + (failedRuns.length > 5 ? ', …' : '')
    context.say(
      `${plural(failed, 'point')} failed (${some}): gvx logs ${failedRuns[0]} shows why, --retry failed tries again`,
    )
  }
  if (stopped > stoppedEarly)
    context.say(`${plural(stopped - stoppedEarly, 'point')} stopped: the same command goes on with what is left`)
  if (stoppedEarly > 0)
    context.say(
      `${plural(stoppedEarly, 'point')} stopped early as hopeless: gvx resume RUN goes on with one, gvx sweep --retry stopped with all`,
    )
  if (interrupted !== 0) context.setExit(interrupted)
}
