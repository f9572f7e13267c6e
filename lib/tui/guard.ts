import type { Terminal } from './terminal.ts'

/** The terminal is put right at every end of the process that leaves us a moment: exit, crash, and our own end. */
export function guardTerminal(terminal: Terminal, stdin: NodeJS.ReadStream): () => void {
  const restore = () => {
    terminal.leave()
    if (stdin.isTTY && stdin.isRaw) stdin.setRawMode(false)
  }
  process.on('exit', restore)
  // the monitor sees every uncaught error before the message goes to stderr, and changes nothing about it
  process.on('uncaughtExceptionMonitor', restore)
  return () => {
    restore()
    process.off('exit', restore)
    process.off('uncaughtExceptionMonitor', restore)
  }
}

/** A signal ends the screen; what it means for the runs is decided by whoever else listens, and if nobody does it kills as ever. */
export function listenForSignals(leave: () => void, terminal: Terminal, stdin: NodeJS.ReadStream): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const handlers = signals.map((signal) => {
    const handler = () => {
      terminal.leave()
      if (stdin.isTTY && stdin.isRaw) stdin.setRawMode(false)
      process.off(signal, handler)
      if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
      else leave()
    }
    process.on(signal, handler)
    return { signal, handler }
  })
  return () => {
    for (const { signal, handler } of handlers) process.off(signal, handler)
  }
}

/** Ctrl-Z: the shell gets its terminal, `fg` brings the screen back. */
export function suspend(terminal: Terminal, stdin: NodeJS.ReadStream, redraw: () => void): void {
  terminal.leave()
  if (stdin.isTTY) stdin.setRawMode(false)
  process.once('SIGCONT', () => {
    if (stdin.isTTY) stdin.setRawMode(true)
    terminal.enter()
    redraw()
  })
  process.kill(process.pid, 'SIGTSTP')
}
