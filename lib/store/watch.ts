import { basename } from 'node:path'
import { messageOf } from '../core/errors.ts'
import type { Observe, RunStatus } from '../core/updates.ts'
import { openRunFolder, type RunIdentity } from '../run/folder.ts'
import { type Follower, followRun } from '../run/follow.ts'
import { ingestRun, runFolders } from './ingest.ts'
import type { Store } from './open.ts'
import { refreshStatuses } from './status.ts'

type Watched = { dir: string; identity: RunIdentity; follow: Follower; status: RunStatus | null }

/**
 * The projection of the logs, live: at each `poll` what is new goes into the database and to `observe`.
 * It keeps its own place in each log, so any number of watchers may look at one home.
 * @param wanted which runs to tell of; all go into the database
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
  const silent = new Set<string>()
  const broken = new Set<string>()

  function discover(): void {
    for (const dir of runFolders(home)) {
      const name = basename(dir)
      if (watched.has(name) || silent.has(name)) continue
      const { identity } = openRunFolder(dir)
      if (!wanted(identity)) {
        silent.add(name)
        continue
      }
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
      for (const [run, entry] of watched) {
        const state = entry.follow((events) => observe({ type: 'run.events', run, events }))
        record(entry.dir)
        if (state.status === entry.status) continue
        entry.status = state.status
        observe({ type: 'run.status', run, status: state.status, reason: state.error })
      }
      for (const run of silent) record(`${home}/runs/${run}`)
      refreshStatuses(store)
    },
  }
}
