import { EXIT } from '../core/errors.ts'
import type { Order } from '../sweep/run.ts'

export type Orders = {
  current(): Order
  give(order: Order): void
  /** 130 or 143 when a signal ended the session, else 0. */
  exitCode(): 0 | 130 | 143
  dispose(): void
}

/**
 * Ctrl-C once asks every worker to finish its step and save; Ctrl-C twice ends them at once. SIGTERM is like one
 * Ctrl-C. A terminal that is closed (SIGHUP) leaves the workers alone.
 */
export function listenForOrders(): Orders {
  let order: Order = 'go'
  let exitCode: 0 | 130 | 143 = 0
  const onInterrupt = () => {
    order = order === 'go' ? 'stop' : 'cancel'
    exitCode = EXIT.interrupted
  }
  const onTerminate = () => {
    if (order === 'go') order = 'stop'
    exitCode ||= EXIT.terminated
  }
  const onHangUp = () => {
    if (order === 'go') order = 'detach'
  }
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  process.on('SIGHUP', onHangUp)
  return {
    current: () => order,
    give(next) {
      order = next
      if (next === 'stop' || next === 'cancel') exitCode = EXIT.interrupted
    },
    exitCode: () => exitCode,
    dispose() {
      process.off('SIGINT', onInterrupt)
      process.off('SIGTERM', onTerminate)
      process.off('SIGHUP', onHangUp)
    },
  }
}
