import { messageOf } from '../core/errors.ts'
import { attemptsOf, recordFailedStart } from './failed-start.ts'
import type { Launcher } from './launcher.ts'

/** Workers as functions of this process, for tests: same folders, same log, no process. */
export function inlineLauncher(work: (dir: string) => Promise<void>): Launcher {
  return {
    name: 'inline',
    async start(run) {
      const before = attemptsOf(run)
      let ended = false
      work(run.dir)
        .catch((error) => {
          if (attemptsOf(run) !== before) throw error
          recordFailedStart(run, 'failed', messageOf(error))
        })
        .finally(() => {
          ended = true
        })
      return { ended: () => ended }
    },
  }
}
