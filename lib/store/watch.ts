import { basename } from 'node:path'
import { messageOf } from '../core/errors.ts'
import type { Observe, RunStatus } from '../core/updates.ts'
import { openRunFolder, type RunIdentity } from '../run/folder.ts'
import { type Follower, followRun } from '../run/follow.ts'
import { hasEnded } from '../run/status.ts'
import { ingestRun, runFolders } from './ingest.ts'
import type { Store } from './open.ts'
import { refreshStatuses } from './status.ts'

type Watched = { dir: string; identity: RunIdentity; follow: Follower; status: RunStatus | null }

/** A run that has ended may be resumed, but need not be asked at every poll. */
const POLLS_BETWEEN_LOOKS = 8

/**
 * The projection of the logs, live: at each `poll` what is new goes into the database and to `observe`.
 * It keeps its own place in each log, so any number of watchers may look at one home.
 * @param wanted which runs to follow; the others are as they were when the database was opened
 */
export function createWatcher({
  home,
  store,
  observe,
  wanted = () => true,
}: {
  home: string
  store: Store
  observe: Observe
  wanted?: (identity: RunIdentity) => boolean
}): { poll(): void } {
  const watched = new Map<string, Watched>()
  const known = new Set<string>()
  const broken = new Set<string>()
  let polls = 0

  function discover(): void {
    for (const dir of runFolders(home, known)) {
      const name = basename(dir)
      known.add(name)
      const { identity } = openRunFolder(dir)
      if (!wanted(identity)) continue
      watched.set(name, { dir, identity, follow: followRun(dir), status: null })
      observe({ type: 'run.attached', key: identity.point ?? name, run: name, resumedFrom: 0 })
    }
  }

  function record(dir: string): void {
    try {
      ingestRun(store, dir)
    } catch (error) {
      // One folder that cannot be read must not hide the others; it is said once.
      if (broken.has(dir)) return
      broken.add(dir)
      observe({ type: 'message', level: 'warning', text: `${basename(dir)} cannot be recorded: ${messageOf(error)}` })
    }
  }

  return {
    poll() {
      discover()
      const lookAtAll = polls++ % POLLS_BETWEEN_LOOKS === 0
      let changed = false
      for (const [run, entry] of watched) {
        if (entry.status !== null && hasEnded(entry.status) && !lookAtAll) continue
        const state = entry.follow((events) => observe({ type: 'run.events', run, events }))
        record(entry.dir)
        if (state.status === entry.status) continue
        changed = true
        entry.status = state.status
        observe({ type: 'run.status', run, status: state.status, reason: state.error })
      }
      if (changed) refreshStatuses(store)
    },
  }
}
