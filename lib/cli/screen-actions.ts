import { UserError } from '../core/errors.ts'
import { stopRun } from '../launch/signal.ts'
import { openRun } from '../run/folder.ts'
import { readWorkerLog } from '../run/worker-log.ts'
import { noteRun, tagRun } from '../store/marks.ts'
import type { Store } from '../store/open.ts'
import type { ScreenActions } from '../tui/index.tsx'

/** What the keys of the screen do outside of it. How a run is retried depends on who shows the screen. */
export function screenActions(
  home: string,
  store: Store,
  retryRun: (run: string) => void | Promise<void>,
): ScreenActions {
  return {
    stopRun(run) {
      if (!stopRun(openRun(home, run))) throw new UserError(`nobody works on ${run}`)
    },
    retryRun,
    tagRun: (run, tag) => tagRun(store, numberOf(run), tag),
    noteRun: (run, text) => noteRun(store, numberOf(run), text, Date.now()),
    readLog: (run) => readWorkerLog(openRun(home, run).dir),
  }
}

const numberOf = (run: string): number => Number(run.replace('run', ''))
