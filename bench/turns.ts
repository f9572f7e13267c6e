import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface, type Interface } from 'node:readline'

/** A process that does one step for each line it is sent: bench/worker.ts or a peer. */
export type Contender = { name: string; command: string[]; env?: Record<string, string> }
export type Measured = { name: string; device: string; ms: number[]; peakBytes: number }

/**
 * Lets contenders take turns in one run, a step each, so that whatever else the machine does meets all of them. The
 * first `warmups` steps of each are not counted. A contender that cannot start or breaks is left out, with a note.
 */
export async function takeTurns(
  contenders: Contender[],
  rounds: number,
  warmups: number,
  note: (text: string) => void,
) {
  const running: Running[] = []
  for (const contender of contenders) {
    const started = await start(contender)
    if (started) running.push(started)
    else note(`${contender.name}: does not start`)
  }
  for (let round = 0; round < warmups + rounds; round++)
    for (const one of running) {
      if (one.broken) continue
      const answer = await one.ask()
      if (typeof answer?.ms !== 'number') one.broken = true
      else if (round >= warmups) one.ms.push(answer.ms)
    }
  const measured: Measured[] = []
  for (const { contender, device, ms, broken, end } of running) {
    const peakBytes = await end()
    if (broken) note(`${contender.name}: broke off`)
    else measured.push({ name: contender.name, device, ms, peakBytes })
  }
  return measured
}

type Answer = { ready?: string; ms?: number; peakBytes?: number }
type Running = {
  contender: Contender
  device: string
  ms: number[]
  broken: boolean
  ask(): Promise<Answer | null>
  end(): Promise<number>
}

async function start(contender: Contender): Promise<Running | null> {
  const [program, ...args] = contender.command
  const child = spawn(program, args, {
    env: { ...process.env, ...contender.env },
    stdio: ['pipe', 'pipe', process.env.GVX_BENCH_DEBUG ? 'inherit' : 'ignore'],
  })
  const lines = createInterface({ input: child.stdout })
  const ready = await answer(child, lines)
  if (!ready?.ready) return null
  return {
    contender,
    device: ready.ready,
    ms: [],
    broken: false,
    ask: () => {
      child.stdin.write('\n')
      return answer(child, lines)
    },
    end: async () => {
      child.stdin.end()
      return (await answer(child, lines))?.peakBytes ?? Number.NaN
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

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
