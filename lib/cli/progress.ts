import { formatDuration, remaining } from '../core/durations.ts'
import type { Context } from './command.ts'

/** Milliseconds between two lines of progress. */
const EVERY = { terminal: 3_000, log: 30_000 }

/** Says every few seconds how far a piece of work is, how fast it goes and how long it will take. `before` was done earlier. */
export function reportProgress(
  what: string,
  unit: string,
  context: Pick<Context, 'say'>,
  before = 0,
  now: () => number = () => performance.now(),
): (done: number, total: number) => void {
  const pause = process.stderr.isTTY ? EVERY.terminal : EVERY.log
  const start = now()
  let said = start
  return (done, total) => {
    const time = now()
    if (time - said < pause && done < total) return
    said = time
    const fresh = done - before
    const rate = (fresh / Math.max(1, time - start)) * 1000
    const rest = done < total ? `, ${formatDuration(remaining(time - start, fresh, total - before))} left` : ''
    context.say(`${what}: ${done} of ${total} ${unit}, ${rate.toFixed(rate < 10 ? 1 : 0)} a second${rest}`)
  }
}
