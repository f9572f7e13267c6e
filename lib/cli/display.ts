import type { Observe, Update } from '../core/updates.ts'
import type { Order } from '../sweep/run.ts'
import { canShowScreen } from '../tui/can-show.ts'
import type { ScreenActions } from '../tui/index.tsx'
import { createPlainPrinter } from '../tui/plain.ts'

/** What a person decided on leaving the screen; `done` when there was nothing left to decide. */
type Outcome = Exclude<Order, 'go'> | 'done'

/** Where the updates of a session are shown: the live screen on a terminal, else plain lines, also after the screen. */
export type Display = {
  observe: Observe
  /** Whether it is the live screen, which a person has to leave. */
  live: boolean
  outcome: Promise<Outcome>
  /** Leaves the terminal as it was. Closing twice is harmless. */
  close(): Promise<void>
}

export type DisplayOptions = {
  plain: boolean
  home: string
  actions: ScreenActions
  write: (text: string) => void
}

export async function openDisplay({ plain, home, actions, write }: DisplayOptions): Promise<Display> {
  let hidden = !plain && canShowScreen(process.stdout, process.stdin, process.env)
  // It hears everything from the start, so that it can go on where the screen was left.
  const lines = createPlainPrinter({ write: (text) => hidden || write(text), now: Date.now })
  const timer = setInterval(lines.tick, 1000)
  const stopLines = async () => clearInterval(timer)
  if (!hidden) return { observe: lines.observe, live: false, outcome: new Promise(() => {}), close: stopLines }

  const { showScreen } = await import('../tui/index.tsx')
  const stream = createStream()
  const closing = new AbortController()
  const left = showScreen({ subscribe: stream.subscribe, actions, home, signal: closing.signal })
  const outcome = left.finally(() => {
    hidden = false
    stream.forget()
  })
  return {
    observe(update) {
      stream.observe(update)
      lines.observe(update)
    },
    live: true,
    outcome,
    async close() {
      await stopLines()
      closing.abort()
      await outcome
    },
  }
}

/** Keeps what was said until somebody listens, who then hears it from the first word. */
function createStream() {
  const listeners = new Set<Observe>()
  let early: Update[] | null = []
  return {
    observe(update: Update) {
      early?.push(update)
      for (const listener of listeners) listener(update)
    },
    subscribe(listener: Observe) {
      for (const update of early ?? []) listener(update)
      early = null
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    forget() {
      early = null
    },
  }
}
