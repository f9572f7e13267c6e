import { afterAll } from 'vitest'
import type { Context } from '../../lib/cli/command.ts'
import { openStore, type Store } from '../../lib/store/open.ts'
import { refresh } from '../../lib/store/status.ts'

/** A home that has been read in, and the context of a command that reads there and says nothing. */
export function readingContext(home: string): { store: Store; context: Context } {
  const store = openStore(home)
  refresh(store, () => {})
  afterAll(() => store.close())
  const context: Context = {
    home,
    store: async () => store,
    say: () => {},
    write: () => {},
    setExit: () => {},
    signal: new AbortController().signal,
    argv: [],
  }
  return { store, context }
}
