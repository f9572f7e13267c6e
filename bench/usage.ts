import { readdirSync, readFileSync } from 'node:fs'

/** What processes of this machine have used so far, from /proc. */

const TICKS_PER_SECOND = 100 // USER_HZ

/** proc(5): fields 14 and 15 of stat are user and system ticks. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** The same in nanoseconds, of the threads that live now: for a process that keeps its threads (schedstat of each task, first field). */
export function cpuNanoseconds(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    try {
      return sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0])
    } catch {
      return sum // it ended between the two looks
    }
  }, 0)
}

export const memoryMB = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1000
