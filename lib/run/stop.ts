/** How a worker is asked to end: `stopped` by a person, `preempted` by the machine's owner. */
type StopReason = 'stopped' | 'preempted'

export type StopRequest = {
  /** null until somebody asks; look at it between steps. */
  reason(): StopReason | null
  /** Aborts at the first request, for whatever waits. */
  signal: AbortSignal
  dispose(): void
}

/**
 * SIGTERM and SIGINT ask to stop, SIGUSR2 to make room. (Node keeps SIGUSR1 for its debugger.) The signal is seen when
 * the kernel in hand ends. SIGHUP means that the terminal was closed, which is none of a worker's business.
 */
export function listenForStop(): StopRequest {
  const controller = new AbortController()
  let reason: StopReason | null = null
  const ask = (why: StopReason) => () => {
    reason ??= why
    controller.abort()
  }
  const handlers: [NodeJS.Signals, () => void][] = [
    ['SIGTERM', ask('stopped')],
    ['SIGINT', ask('stopped')],
    ['SIGUSR2', ask('preempted')],
    ['SIGHUP', () => {}],
  ]
  for (const [name, handler] of handlers) process.on(name, handler)
  return {
    reason: () => reason,
    signal: controller.signal,
    dispose: () => {
      for (const [name, handler] of handlers) process.off(name, handler)
    },
  }
}
