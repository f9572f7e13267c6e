import type { ReadStream } from 'node:tty'
import xterm from '@xterm/headless'
import { type IPty, spawn } from 'node-pty'

/** A program in a real pseudo-terminal, read through a terminal emulator: what a person would see, and every byte that was sent. */
export type Session = {
  /** The visible screen, a line of text for each row, without spaces at their ends. */
  frame(): string[]
  /** Resolves with the frame as soon as the screen satisfies the test; rejects with what it showed instead. */
  until(what: string | RegExp | ((frame: string) => boolean), ms?: number): Promise<string[]>
  type(keys: string): void
  resize(columns: number, rows: number): void
  kill(signal: string): void
  exited: Promise<{ exitCode: number; signal: number | undefined }>
  bytes(): string
  /** Calls back for every piece that is sent from now on. */
  listen(onData: (data: string) => void): void
  pid: number
  terminal: InstanceType<typeof xterm.Terminal>
}

type Size = { columns: number; rows: number; env?: Record<string, string> }

/** A script of ours, in JavaScript or TypeScript. */
export function openSession(file: string, args: readonly string[], size: Size): Session {
  const loader = /\.tsx?$/.test(file) ? ['--import', 'tsx'] : []
  return openTerminal(process.execPath, [...loader, file, ...args], size)
}

/** Any program. */
export function openTerminal(command: string, args: readonly string[], { columns, rows, env = {} }: Size): Session {
  const terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true, scrollback: 1000 })
  // what this process was told about colours and tests is not for the one in the terminal
  const { NO_COLOR, FORCE_COLOR, CI, VITEST, ...environment } = process.env
  const child = spawn(command, [...args], {
    name: 'xterm-256color',
    cols: columns,
    rows,
    env: { ...environment, TZ: 'UTC', COLORTERM: 'truecolor', ...env },
  })
  readToTheEnd(child)
  let bytes = ''
  const watchers = new Set<() => void>()
  // a frame arrives in pieces; what stands between the marks of synchronised output is not to be seen yet
  let drawn = 0
  const whole = () => {
    const seen = bytes.slice(0, drawn)
    return seen.lastIndexOf('\u001b[?2026h') <= seen.lastIndexOf('\u001b[?2026l')
  }
  const changed = () => {
    if (!whole()) return
    for (const watcher of [...watchers]) watcher()
  }
  child.onData((data) => {
    bytes += data
    const end = bytes.length
    terminal.write(data, () => {
      drawn = end
      changed()
    })
  })
  const exited = new Promise<{ exitCode: number; signal: number | undefined }>((resolve) => {
    // an empty write comes back when all that was sent before has been drawn
    child.onExit(({ exitCode, signal }) => terminal.write('', () => resolve({ exitCode, signal })))
  })
  const frame = () => {
    const { active } = terminal.buffer
    return Array.from(
      { length: terminal.rows },
      (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
    )
  }
  return {
    frame,
    until(what, ms = 40_000) {
      const holds = (text: string) =>
        typeof what === 'function' ? what(text) : typeof what === 'string' ? text.includes(what) : what.test(text)
      return new Promise((resolve, reject) => {
        const look = () => {
          const lines = frame()
          if (!holds(lines.join('\n'))) return
          finish(() => resolve(lines))
        }
        const finish = (then: () => void) => {
          watchers.delete(look)
          clearTimeout(timer)
          then()
        }
        const timer = setTimeout(
          () => finish(() => reject(new Error(`waited for ${what}, saw:\n${frame().join('\n')}`))),
          ms,
        )
        watchers.add(look)
        if (whole()) look()
      })
    },
    type: (keys) => child.write(keys),
    resize(columns, rows) {
      terminal.resize(columns, rows)
      child.resize(columns, rows)
    },
    kill: (signal) => child.kill(signal),
    exited,
    bytes: () => bytes,
    listen: (onData) => void child.onData(onData),
    pid: child.pid,
    terminal,
  }
}

/**
 * node-pty ends the stream 200 ms after the program, read to its end or not: where the machine has much else to do, that loses the last frame.
 * Here it has five seconds.
 */
function readToTheEnd(child: IPty): void {
  const { _socket: stream } = child as unknown as { _socket: ReadStream }
  const destroy = stream.destroy.bind(stream)
  stream.destroy = (error?: Error) => {
    if (error || stream.readableEnded) destroy(error)
    else setTimeout(destroy, 5000)
    return stream
  }
}
