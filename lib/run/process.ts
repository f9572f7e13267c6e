import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * A process named so that nobody can be mistaken for it: pids are recycled, but not within one boot of one machine
 * together with the tick at which the process started. Wall clocks are not asked, because they can be set.
 */
export type ProcessId = {
  host: string
  /** The kernel's id of this boot; null where the system has none. */
  boot: string | null
  pid: number
  /** Clock ticks after boot at which the process started; null where the system does not say. */
  ticks: number | null
}

/** `unknown`: the process is on another machine, so nobody here can tell. */
export type Liveness = 'alive' | 'gone' | 'unknown'

const TICKS_PER_SECOND = 100 // USER_HZ, fixed in the kernel's interface to user space

export function thisProcess(): ProcessId {
  return { host: hostname(), boot: bootId(), pid: process.pid, ticks: statOf(process.pid)?.ticks ?? null }
}

/** Seconds since the epoch at which a process started, or null where the system does not say. */
export function startedAt(id: ProcessId): number | null {
  const bootTime = readText('/proc/stat')?.match(/^btime (\d+)$/m)?.[1]
  return bootTime === undefined || id.ticks === null ? null : Number(bootTime) + id.ticks / TICKS_PER_SECOND
}

export function livenessOf(id: ProcessId): Liveness {
  if (id.host !== hostname()) return 'unknown'
  const boot = bootId()
  if (id.boot !== null && boot !== null && id.boot !== boot) return 'gone'
  const stat = statOf(id.pid)
  if (stat === null) return existsBySignal(id.pid) ? 'alive' : 'gone'
  if (id.ticks !== null && stat.ticks !== id.ticks) return 'gone' // the pid belongs to somebody else by now
  return stat.state === 'Z' || stat.state === 'X' ? 'gone' : 'alive'
}

/** State and start of a process from /proc, or null where there is neither the process nor /proc. */
function statOf(pid: number): { state: string; ticks: number } | null {
  const text = readText(`/proc/${pid}/stat`)
  if (text === null) return null
  // The name in parentheses may hold spaces and parentheses: fields are counted from the last one (proc(5): 3 and 22).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0], ticks: Number(fields[19]) }
}

/** Of this boot, which this process does not outlive. */
let boot: string | null | undefined

function bootId(): string | null {
  if (boot === undefined) boot = readText('/proc/sys/kernel/random/boot_id')?.trim() ?? null
  return boot
}

function existsBySignal(pid: number): boolean {
  if (readText('/proc/self/stat') !== null) return false // there is a /proc, and the process is not in it
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
