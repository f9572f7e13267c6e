import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { median } from '../core/statistics.ts'
import type { Cost, Job } from './worker.ts'

/** A process that does one step for each line it is sent: the worker of this folder or a peer. Its first line is the job, as JSON, where it has one. */
export type Contender = { name: string; command: string[]; job?: object; env?: Record<string, string> }
export type Measured = {
  name: string
  device: string
  /** Of each turn that counts. */
  ms: number[]
  /** Processor time of all threads of the process; on a crowded machine the clock says more about the others. */
  cpuMs: number[]
  peakBytes: number
  cost: Cost | null
}

/** The worker of this folder with a job: as this module is, or `compiled` from dist/. */
export function workerFor(
  job: Job,
  compiled = !import.meta.url.endsWith('.ts'),
): Required<Pick<Contender, 'command' | 'job'>> {
  const source = !compiled
  const file = fileURLToPath(new URL(source ? './worker.ts' : '../../dist/bench/worker.js', import.meta.url))
  return { command: [process.execPath, ...(source ? ['--import', 'tsx'] : []), file], job }
}

/** What may be spent; without limits nothing is cut short. */
export type Limits = {
  /** For a contender to be ready, which for a compiled one includes its compilation. */
  startSeconds?: number
  /** For the steps of all contenders together. At least one warm-up and `FEWEST` rounds are done all the same. */
  stepSeconds?: number
}
const FEWEST = 3
/** What a turn lasts at least, in milliseconds. */
const TURN = 300

/**
 * Lets contenders take turns in one run, so that whatever else the machine does meets all of them. A turn is one step, or
 * as many as fill 300 ms: then its first one is not counted, for which caches are cold, threads asleep and those of
 * the contender before it still waiting for work in a loop, and the median of the others is. The first `warmups` steps of each
 * are not counted either. A contender that cannot start or breaks is left out, with a note.
 */
export async function takeTurns(
  contenders: Contender[],
  rounds: number,
  warmups: number,
  note: (text: string) => void,
  { startSeconds = Number.POSITIVE_INFINITY, stepSeconds = Number.POSITIVE_INFINITY }: Limits = {},
): Promise<Measured[]> {
  const running: Running[] = []
  try {
    for (const contender of contenders) {
      const started = await start(contender, startSeconds)
      if ('why' in started) note(`${contender.name}: ${started.why}`)
      else running.push(started)
    }
    const begin = performance.now()
    const spent = () => (performance.now() - begin) / 1e3
    const sound = () => running.filter(({ broken }) => broken === null)
    for (let i = 0; i < warmups && (i === 0 || spent() < stepSeconds / 2); i++)
      for (const one of sound()) await step(one)
    for (let round = 0; round < rounds && (round < FEWEST || spent() < stepSeconds); round++)
      for (const one of sound()) {
        const turn = await takeTurn(one)
        if (!turn) continue
        one.ms.push(turn.ms)
        one.cpuMs.push(turn.cpuMs)
      }
    const measured: Measured[] = []
    for (const { contender, device, ms, cpuMs, broken, end } of running) {
      if (broken !== null) note(`${contender.name} broke off: ${broken}`)
      else measured.push({ name: contender.name, device, ms, cpuMs, ...(await end()) })
    }
    return measured
  } finally {
    for (const { child } of running) child.kill()
  }
}

type Turn = { ms: number; cpuMs: number }

/** A step, or null when the contender is broken, which it then knows. */
async function step(one: Running): Promise<Turn | null> {
  const answer = await one.ask()
  if (typeof answer?.ms === 'number') return { ms: answer.ms, cpuMs: answer.cpuMs ?? Number.NaN }
  one.broken = answer?.failed ?? 'it ended'
  return null
}

async function takeTurn(one: Running): Promise<Turn | null> {
  const first = await step(one)
  if (!first || first.ms >= TURN) return first
  const steps: Turn[] = []
  for (let sum = first.ms; sum < TURN || steps.length === 0; ) {
    const next = await step(one)
    if (!next) return null
    steps.push(next)
    sum += next.ms
  }
  return { ms: median(steps.map(({ ms }) => ms)), cpuMs: median(steps.map(({ cpuMs }) => cpuMs)) }
}

type Answer = { ready?: string; ms?: number; cpuMs?: number; peakBytes?: number; cost?: Cost | null; failed?: string }
type Running = {
  contender: Contender
  child: ChildProcess
  device: string
  ms: number[]
  cpuMs: number[]
  /** Why it cannot go on. */
  broken: string | null
  ask(): Promise<Answer | null>
  end(): Promise<{ peakBytes: number; cost: Cost | null }>
}

async function start(contender: Contender, seconds: number): Promise<Running | { why: string }> {
  const [program, ...args] = contender.command
  const child = spawn(program, args, {
    env: { ...process.env, ...contender.env },
    stdio: ['pipe', 'pipe', process.env.GVX_BENCH_DEBUG ? 'inherit' : 'ignore'],
  })
  child.stdin.on('error', () => {}) // of a process that has ended: its exit says so
  if (contender.job) child.stdin.write(`${JSON.stringify(contender.job)}\n`)
  const lines = createInterface({ input: child.stdout })
  let late = false
  const patience = Number.isFinite(seconds)
    ? setTimeout(() => {
        late = true
        child.kill('SIGKILL')
      }, seconds * 1e3)
    : undefined
  const ready = await answer(child, lines)
  clearTimeout(patience)
  if (late) return { why: `not ready after ${seconds} s` }
  if (!ready?.ready) {
    child.kill() // it may still listen
    return { why: ready?.failed ?? 'it does not start' }
  }
  return {
    contender,
    child,
    device: ready.ready,
    ms: [],
    cpuMs: [],
    broken: null,
    ask: () => {
      child.stdin.write('\n')
      return answer(child, lines)
    },
    end: async () => {
      child.stdin.end()
      const last = await answer(child, lines)
      return { peakBytes: last?.peakBytes ?? Number.NaN, cost: last?.cost ?? null }
    },
  }
}

/** The next line as JSON, or null when the process has ended. */
function answer(child: ChildProcess, lines: Interface): Promise<Answer | null> {
  return new Promise((resolve) => {
    const done = (value: Answer | null) => {
      lines.off('line', onLine)
      child.off('exit', onExit)
      child.off('error', onExit)
      resolve(value)
    }
    const onLine = (line: string) => {
      if (line.startsWith('{')) done(JSON.parse(line) as Answer)
    }
    const onExit = () => done(null)
    if (child.exitCode !== null) return resolve(null)
    lines.on('line', onLine)
    child.once('exit', onExit)
    child.once('error', onExit)
  })
}
