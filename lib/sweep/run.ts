import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../core/errors.ts'
import { plural } from '../core/text.ts'
import type { Observe, PlannedPoint } from '../core/updates.ts'
import type { Launcher } from '../launch/launcher.ts'
import { cancelRun, stopRun } from '../launch/signal.ts'
import { overruleEarlyStop, readEarlyStop, recordEarlyStop } from '../run/early-stop.ts'
import { claimPoint, openRun, type RunFolder } from '../run/folder.ts'
import type { Provenance } from '../run/provenance.ts'
import { hasEnded } from '../run/status.ts'
import { lastWords, readWorkerLog } from '../run/worker-log.ts'
import { pointIdentity } from './known.ts'
import { createJudge } from './median.ts'
import type { PlanEntry } from './plan.ts'
import { isPruned, recordSweep, vanishedPoints } from './record.ts'
import type { SweepFile } from './spec.ts'
import { isAbandoned, launchTask, openTask, refreshTask, type Task } from './task.ts'

/**
 * What the person at the terminal wants: `stop` lets every worker finish its step and save, `cancel` ends them at once,
 * `detach` leaves them alone.
 */
export type Order = 'go' | 'stop' | 'cancel' | 'detach'

export type SweepOptions = {
  home: string
  sweep: SweepFile
  plan: readonly PlanEntry[]
  /** Keys of all points that the sweep's file has; null where nobody can tell, or there is no such file. */
  fileKeys?: ReadonlySet<string> | null
  /** Of `knownRuns`, for the points that are new. */
  claims: ReadonlyMap<string, number>
  launcher: Launcher
  /** Most workers at a time, and kernel threads of each. */
  jobs: number
  threads: number
  provenance: Provenance & { dirtyDiff: string | null }
  observe: Observe
  order: () => Order
  /** Brings the database up to date with a run; called after every look at its log, with `now` when it may not wait. */
  record: (runDir: string, when: 'now' | 'in turn') => void
  /** The sweep stops, gently, when so many points have failed. */
  maxFailures: number
  /** Takes over runs whose machine cannot be asked. */
  force: boolean
  /** Runs of this sweep that somebody wants tried again; asked before every look, each is named once. */
  takeRetries?: () => string[]
  /** Milliseconds between two looks for an order, and for workers that have ended. */
  pollMs?: number
}

/** A log is read at every so many of those looks; each costs processor time that a training could have. */
const LOOKS_A_READ = 4

type Ending = 'finished' | 'failed' | 'stopped' | 'skipped'
export type SweepResult = Record<Ending, number> & {
  detached: boolean
  /** How many of the stopped points were given up by the sweep's own rule. */
  stoppedEarly: number
  /** The runs that stand for the points, `run12`, whichever sweep made them. */
  runs: string[]
  /** Those of them that failed. */
  failedRuns: string[]
  /** Keys of the points that had not ended when the sweep was detached. */
  left: string[]
}

/**
 * Works through a plan: starts workers, reads their logs, ends when every point has. The workers are processes of their
 * own, so the end of this one, however violent, stops none of them; the next `runSweep` finds them running.
 */
export async function runSweep(options: SweepOptions): Promise<SweepResult> {
  const { home, sweep, plan, jobs, order, fileKeys = null, pollMs = 250 } = options
  const points = plan.map(({ planned }) => ({ ...planned }))
  const judge = sweep.spec.earlyStop ? createJudge(sweep.spec.earlyStop, sweep.spec.metric) : null
  const observe: Observe = (update) => {
    judge?.observe(update)
    options.observe(update)
  }
  const queue = plan.filter(({ planned }) => planned.action !== 'skip' && planned.action !== 'running')
  const tasks: Task[] = []
  const endings = new Map<string, Ending>()
  let polls = 0
  let failures = 0
  let stoppedEarly = 0
  let wishes: string[] = []
  let urged = 'go' as Order

  const gone = vanishedPoints(home, sweep, { points, fileKeys })
  observe({ type: 'session', title: sweep.name, question: sweep.spec.question, file: sweep.file, jobs, points })
  recordSweep(home, sweep, { points, fileKeys }, { begins: true })
  for (const { key, run } of gone) say('info', `${key} is no longer in the file; ${run} is left alone`)
  for (const entry of plan) {
    if (entry.planned.action === 'skip') showSkipped(entry)
    if (entry.planned.action === 'running') takeUp(entry, openRun(home, entry.planned.run!))
  }

  while (queue.length > 0 || tasks.length > 0) {
    obey(order())
    if ((urged as Order) === 'detach') {
      // what has ended by now is not left for whoever goes on
      for (const task of [...tasks]) if (refreshTask(task, observe)) await settle(task)
      return resultOf({ detached: true })
    }
    wishes = [...wishes, ...(options.takeRetries?.() ?? [])].filter((run) => !requeue(run))
    while (queue.length > 0 && tasks.length < jobs) await begin(queue.shift()!)
    const all = polls++ % LOOKS_A_READ === 0 || urged !== 'go'
    for (const task of [...tasks]) if (all || task.worker?.ended()) await look(task)
    if (tasks.length > 0) await sleep(pollMs)
  }
  observe({ type: 'session.done', ...count() })
  return resultOf({ detached: false })

  function obey(wish: Order): void {
    if (wish === 'go' || wish === urged || urged === 'cancel') return
    urged = wish
    if (wish === 'detach') return
    for (const { planned } of queue.splice(0)) endings.set(planned.key, 'stopped')
    const how = wish === 'stop' ? 'finish their step and save a checkpoint' : 'are ended at once'
    if (tasks.length > 0) say('info', `${plural(tasks.length, 'worker')}: ${how}`)
  }

  /** Makes the run of a point, or finds the one that somebody made meanwhile, and sees that a worker is on it. */
  async function begin(entry: PlanEntry): Promise<void> {
    const { key } = entry.planned
    if (isPruned(home, sweep, key)) {
      say('info', `${key} was taken out of the sweep meanwhile`)
      return void endings.set(key, 'stopped')
    }
    const { folder, mine } = folderOf(entry)
    if (entry.planned.run !== null) overruleEarlyStop(folder.dir, Date.now()) // in the plan, so somebody wants it
    const task = takeUp(entry, folder)
    const idle = hasEnded(task.state.status) ? task.state.status !== 'finished' : task.state.status === 'queued'
    if (mine && idle) await launchTask(task, options)
  }

  function folderOf({ point, planned }: PlanEntry): { folder: RunFolder; mine: boolean } {
    if (planned.run !== null) return { folder: openRun(home, planned.run), mine: true }
    const { label, key, seed, config, configHash } = point
    const identity = pointIdentity(point)
    const run = { name: label, kind: 'train' as const, configHash, seed, sweep: sweep.id, point: key, label, config }
    return claimPoint(home, identity, options.claims.get(identity)!, { ...run, ...options.provenance })
  }

  function takeUp(entry: PlanEntry, folder: RunFolder): Task {
    const task = openTask(entry, folder, { observe, force: options.force })
    options.record(folder.dir, 'now')
    tasks.push(task)
    const point = points.find(({ key }) => key === entry.planned.key)!
    point.run = folder.identity.id
    recordSweep(home, sweep, { points, fileKeys })
    return task
  }

  async function look(task: Task): Promise<void> {
    const ended = refreshTask(task, observe)
    options.record(task.folder.dir, ended ? 'now' : 'in turn')
    if (ended) return settle(task)
    if (urged === 'go') {
      if (isAbandoned(task)) await launchTask(task, options)
      else giveUpHopeless(task)
    } else if (!urge(task)) drop(task, 'stopped')
  }

  /** Asks the worker of a run to end that the judge holds for hopeless; who asked for the run by name is not overruled. */
  function giveUpHopeless(task: Task): void {
    const { folder, entry } = task
    const reason = task.state.status === 'running' && !task.givenUp ? judge?.verdict(folder.identity.id) : null
    if (!reason || !recordEarlyStop(folder.dir, reason, Date.now())) return
    task.givenUp = true
    if (signal(() => stopRun(folder))) say('info', `${entry.planned.key}: ${reason}`)
  }

  /** Passes the wish on to the worker. False when there is nobody who could hear it. */
  function urge(task: Task): boolean {
    if (task.urged === urged) return true
    const heard = signal(() => (urged === 'stop' ? stopRun(task.folder) : cancelRun(task.folder)))
    if (heard) task.urged = urged
    return heard || task.worker !== null // a worker that has not claimed its run yet hears it at the next look
  }

  /** Whether a signal reached a worker; that it is on another machine is said. */
  function signal(send: () => boolean): boolean {
    try {
      return send()
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      say('warning', error.message)
      return false
    }
  }

  async function settle(task: Task): Promise<void> {
    const { status, error } = task.state
    if (status === 'finished') return drop(task, 'finished')
    const givenUp = status !== 'failed' && readEarlyStop(task.folder.dir) !== null
    if (givenUp) stoppedEarly += 1
    const failed = status === 'failed' || (status === 'lost' && urged !== 'cancel')
    if (!failed || givenUp) return drop(task, 'stopped')
    const why = error ?? `its process is gone: ${lastWords(readWorkerLog(task.folder.dir)) ?? 'it printed nothing'}`
    if (urged === 'go' && task.retries < sweep.spec.retry) {
      task.retries += 1
      say('warning', `${task.entry.planned.key} failed (${why}); try ${task.retries + 1} of ${sweep.spec.retry + 1}`)
      return launchTask(task, options)
    }
    if (status === 'lost') say('warning', `${task.entry.planned.key}: ${why}`)
    drop(task, 'failed')
    failures += 1
    if (failures >= options.maxFailures && urged === 'go') {
      say('error', `${plural(failures, 'point')} failed: the sweep stops`)
      obey('stop')
    }
  }

  function drop(task: Task, as: Ending): void {
    tasks.splice(tasks.indexOf(task), 1)
    endings.set(task.entry.planned.key, as)
  }

  /** Somebody at the screen wants a point to be tried again. False while this process has not seen it end yet. */
  function requeue(run: string): boolean {
    const point = points.find((candidate) => candidate.run === run)
    const entry = plan.find(({ planned }) => planned.key === point?.key)
    if (tasks.some(({ folder }) => folder.identity.id === run)) return false
    if (entry && urged === 'go' && endings.delete(entry.planned.key)) {
      queue.unshift({ ...entry, planned: { ...entry.planned, run } })
      observe({ type: 'run.status', run, status: 'queued', reason: 'waits for a worker' })
    }
    return true
  }

  function resultOf({ detached }: { detached: boolean }): SweepResult {
    const failed = points.filter(({ key }) => endings.get(key) === 'failed')
    const left = points.filter(({ key }) => !endings.has(key)).map(({ key }) => key)
    return { ...count(), stoppedEarly, detached, runs: runsOf(points), failedRuns: runsOf(failed), left }
  }

  function count(): Record<Ending, number> {
    const total = { finished: 0, failed: 0, stopped: 0, skipped: 0 }
    for (const ending of endings.values()) total[ending] += 1
    return total
  }

  /** A point that needs no work still shows what its run found; one that failed before counts as failed. */
  function showSkipped(entry: PlanEntry): void {
    const folder = openRun(home, entry.planned.run!)
    const { state } = openTask(entry, folder, { observe, force: options.force })
    options.record(folder.dir, 'now')
    endings.set(entry.planned.key, state.status === 'failed' ? 'failed' : 'skipped')
  }

  function say(level: 'info' | 'warning' | 'error', text: string): void {
    observe({ type: 'message', level, text })
  }
}

const runsOf = (points: readonly PlannedPoint[]): string[] => points.flatMap(({ run }) => run ?? [])
