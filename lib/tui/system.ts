import { readFileSync, statfsSync } from 'node:fs'
import { cpus, freemem, loadavg, totalmem } from 'node:os'
import { createGpuReader, type GpuState } from './gpu.ts'

/** What the machine is doing, read from /proc where there is one, and from nvidia-smi. */
export type SystemState = {
  /** Busy share of each core since the last reading, 0 to 1. */
  cores: readonly number[]
  load: readonly number[]
  memory: { used: number; total: number }
  disk: { path: string; free: number; total: number } | null
  gpus: readonly GpuState[]
  processes: readonly ProcessState[]
}
export type ProcessState = {
  pid: number
  /** Cores' worth of CPU since the last reading: 2 is two cores fully busy. */
  cpu: number
  /** Resident memory in bytes. */
  memory: number
}

/** USER_HZ of Linux, the unit of /proc/PID/stat: 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** A reader that remembers the last counters; the first reading has no shares yet. */
export function createSystemReader(path: string, now: () => number): (pids: readonly number[]) => SystemState {
  let lastCores: { busy: number; all: number }[] = []
  let lastTicks = new Map<number, number>()
  let lastTime = Number.NaN
  const readGpus = createGpuReader(now)
  return (pids) => {
    const time = now()
    const cores = cpus().map(({ times }) => {
      const all = times.user + times.nice + times.sys + times.irq + times.idle
      return { busy: all - times.idle, all }
    })
    const shares = cores.map((core, i) => {
      const last = lastCores[i]
      return last && core.all > last.all ? (core.busy - last.busy) / (core.all - last.all) : 0
    })
    const ticks = new Map<number, number>()
    const processes = pids.flatMap((pid): ProcessState[] => {
      const usage = readProcess(pid)
      if (usage === null) return []
      ticks.set(pid, usage.ticks)
      const before = lastTicks.get(pid)
      const seconds = (time - lastTime) / 1000
      const cpu = before === undefined || !(seconds > 0) ? 0 : (usage.ticks - before) / TICKS_PER_SECOND / seconds
      return [{ pid, cpu, memory: usage.memory }]
    })
    lastCores = cores
    lastTicks = ticks
    lastTime = time
    return {
      cores: shares,
      load: loadavg(),
      memory: readMemory(),
      disk: readDisk(path),
      gpus: readGpus(),
      processes,
    }
  }
}

function readMemory(): { used: number; total: number } {
  const total = totalmem()
  const available = /^MemAvailable:\s+(\d+) kB/m.exec(readText('/proc/meminfo') ?? '')
  return { used: total - (available ? 1024 * Number(available[1]) : freemem()), total }
}

function readDisk(path: string): SystemState['disk'] {
  try {
    const { bavail, bfree, blocks, bsize } = statfsSync(path)
    // as df has it: what is kept for root is neither used nor free
    return { path, free: bavail * bsize, total: (blocks - bfree + bavail) * bsize }
  } catch {
    // a folder that is gone has no disk to speak of
    return null
  }
}

/** proc(5): fields 14 and 15 of stat are user and system ticks; the name in brackets may hold spaces. */
function readProcess(pid: number): { ticks: number; memory: number } | null {
  const stat = readText(`/proc/${pid}/stat`)
  const status = readText(`/proc/${pid}/status`)
  if (stat === null || status === null) return null
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const resident = /^VmRSS:\s+(\d+) kB/m.exec(status)
  return { ticks: Number(fields[11]) + Number(fields[12]), memory: resident ? 1024 * Number(resident[1]) : 0 }
}

function readText(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // the process has ended, or this is not Linux
    return null
  }
}
