import { basename } from 'node:path'
import { messageOf } from '../core/errors.ts'
import type { Observe, RunStatus } from '../core/updates.ts'
import { openRunFolder, type RunIdentity } from '../run/folder.ts'
import { type Follower, followRun } from '../run/follow.ts'
import { hasEnded } from '../run/status.ts'
import { runFolders } from './ingest.ts'
import type { Store } from './open.ts'
import { createRecorder } from './recorder.ts'
import { refreshStatuses } from './status.ts'

type Watched = { dir: string; identity: RunIdentity; follow: Follower; status: RunStatus | null }

/** A run that has ended may be resumed, but need not be asked at every poll. */
const POLLS_BETWEEN_LOOKS = 8

export type Watcher = {
  /** Reads what is new. True when there are runs left that it has never read, for want of time. */
  poll(): boolean
}

/**
 * The projection of the logs, live: at each `poll` what is new goes to `observe`, and after seconds at most into the database.
 * It keeps its own place in each log, so any number of watchers may look at one home.
 * @param wanted which runs to follow; the others are as they were when the database was opened
 * @param keyOf key under which a run is announced; that of its point unless told otherwise
 * @param budgetMs milliseconds after which a poll reads no further run for the first time; those at work come first
 */
export function createWatcher({
  home,
  store,
  observe,
  wanted = () => true,
  keyOf = ({ id, point }) => point ?? id,
  budgetMs = Number.POSITIVE_INFINITY,
}: {
  home: string
  store: Store
  observe: Observe
  wanted?: (identity: RunIdentity) => boolean
  keyOf?: (identity: RunIdentity) => string
  budgetMs?: number
}): Watcher {
  const watched = new Map<string, Watched>()
  const known = new Set<string>()
  const record = createRecorder(store, (dir, error) =>
    observe({ type: 'message', level: 'warning', text: `${basename(dir)} cannot be recorded: ${messageOf(error)}` }),
  )
  let unread: string[] = []
  let polls = 0

  function discover(): void {
    const fresh: string[] = []
    for (const dir of runFolders(home, known)) {
      const name = basename(dir)
      known.add(name)
      const { identity } = openRunFolder(dir)
      if (!wanted(identity)) continue
      watched.set(name, { dir, identity, follow: followRun(dir), status: null })
      fresh.push(name)
      observe({ type: 'run.attached', key: keyOf(identity), run: name, resumedFrom: 0 })
    }
    if (fresh.length === 0) return
    const atWork = new Set(store.values("SELECT 'run' || id FROM runs WHERE status IN ('starting', 'running')").all())
    unread = [...fresh.filter((run) => atWork.has(run)), ...unread, ...fresh.filter((run) => !atWork.has(run))]
  }

  /** True when the status of the run is another one than before. */
  function look(run: string, entry: Watched): boolean {
    const state = entry.follow((events) => observe({ type: 'run.events', run, events }))
    record(entry.dir, state.status === entry.status ? 'in turn' : 'now')
    if (state.status === entry.status) return false
    entry.status = state.status
    observe({ type: 'run.status', run, status: state.status, reason: state.error })
    return true
  }

  return {
    poll() {
      const begin = performance.now()
      discover()
      const lookAtAll = polls++ % POLLS_BETWEEN_LOOKS === 0
      let changed = false
      for (const [run, entry] of watched)
        if (entry.status !== null && (lookAtAll || !hasEnded(entry.status))) changed = look(run, entry) || changed
      while (unread.length > 0) {
        const run = unread.shift()!
        changed = look(run, watched.get(run)!) || changed
        if (performance.now() - begin > budgetMs) break
      }
      if (changed) refreshStatuses(store)
      return unread.length > 0
    },
  }
}
