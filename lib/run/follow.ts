import { readdirSync } from 'node:fs'
import type { LoggedEvent } from '../core/events.ts'
import { type Attempt, newestAttempt, readAttempt } from './attempt.ts'
import { type Offsets, readEvents } from './log.ts'
import { livenessOf } from './process.ts'
import { foldEvent, NOTHING_YET, type RunState, settle } from './status.ts'

/** Reads what is new in a run's log at each call, gives it to `observe` and returns the state of the run now. */
export type Follower = (observe?: (events: LoggedEvent[]) => void) => RunState

/**
 * @param force takes a process on a machine that cannot be asked for gone, because somebody knows that it is
 */
export function followRun(dir: string, { force = false }: { force?: boolean } = {}): Follower {
  let logged = NOTHING_YET
  let offsets: Offsets = {}
  let last: Attempt | null = null
  return (observe = () => {}) => {
    const names = readdirSync(dir)
    const newest = newestAttempt(names)
    if (newest !== (last?.attempt ?? 0)) last = newest === 0 ? null : readAttempt(dir, newest)
    // The process first: one that ends between the two looks has then written its farewell already.
    const known = last === null ? 'gone' : livenessOf(last.process)
    const liveness = force && known === 'unknown' ? 'gone' : known
    for (let more = true; more; ) {
      const read = readEvents(dir, offsets, undefined, names)
      if (read.events.length > 0) observe(read.events)
      logged = read.events.reduce(foldEvent, logged)
      ;({ offsets, more } = read)
    }
    return settle(logged, last?.attempt ?? 0, liveness)
  }
}

/** The state of a run now, from its whole log. */
export const readRunState = (dir: string): RunState => followRun(dir)()
