import { readFileSync, readlinkSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * The terminal as the screen needs it and as it was found. Lines are placed by their row on the alternate screen, only those
 * that changed: nothing scrolls, nothing flickers, and no byte is ever sent that could clear the scrollback.
 */
export type Terminal = {
  /** Lines with their escape codes; what does not fit above the last row is left out. */
  paint(lines: readonly string[]): void
  /** Forgets what is on the screen, so that the next frame is drawn as a whole: after a resize. */
  invalidate(): void
  enter(): void
  /** Back to the screen of before. Harmless when already there. */
  leave(): void
}

type Output = { fd?: number; rows?: number; write(text: string): unknown }

const ESC = '\u001b['
/** Alternate screen with the cursor saved, cursor hidden, no wrapping at the right edge. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l${ESC}H${ESC}J`
const LEAVE = `${ESC}?2026l${ESC}0m${ESC}?7h${ESC}?25h${ESC}?1049l`
/** Between these two a terminal that knows synchronised output shows nothing half done; others ignore them. */
const BEGIN = `${ESC}?2026h`
const END = `${ESC}?2026l`

export function openTerminal(output: Output): Terminal {
  let inside = false
  let drawn: string[] = []
  return {
    paint(frame) {
      if (!inside) return
      const lines = frame.slice(0, Math.max(1, (output.rows ?? 24) - 1))
      const changes: string[] = []
      for (let row = 0; row < Math.max(lines.length, drawn.length); row++) {
        const text = lines[row] ?? ''
        if (text === drawn[row]) continue
        // erased first: after a line that fills the row, the cursor stands on its last character and would erase that
        changes.push(`${ESC}${row + 1};1H${ESC}K${text}${ESC}0m`)
      }
      drawn = lines
      if (changes.length > 0) output.write(`${BEGIN}${changes.join('')}${END}`)
    },
    invalidate() {
      drawn = []
      if (inside) output.write(`${ESC}H${ESC}J`)
    },
    enter() {
      if (inside) return
      inside = true
      drawn = []
      markScreen(output)
      output.write(ENTER)
    },
    leave() {
      if (!inside) return
      inside = false
      writeNow(output, LEAVE)
      unmarkScreen(output)
    },
  }
}

/** At the end of a process there is no later: past the stream, straight to the descriptor where there is one. */
function writeNow(output: Output, text: string): void {
  if (output.fd === undefined) {
    output.write(text)
    return
  }
  try {
    writeSync(output.fd, text)
  } catch {
    // the terminal is gone, and with it what there was to restore
  }
}

/**
 * Puts a terminal right whose screen was killed with -9 and could not do so itself. True when there was something to repair.
 * `gvx` calls it at its start; until then `reset` does the same.
 */
export function repairTerminal(output: Output & { isTTY?: boolean }): boolean {
  const mark = output.isTTY ? markOf(output) : null
  if (mark === null) return false
  const pid = readPid(mark)
  if (pid === null || isAlive(pid)) return false
  const repair = !isOfAnotherTerminal(mark, output)
  if (repair) writeNow(output, LEAVE)
  rmSync(mark, { force: true })
  return repair
}

/** Numbers of terminals are used again: a mark that is older than its device is of one that is closed. */
function isOfAnotherTerminal(mark: string, { fd }: Output): boolean {
  try {
    return statSync(`/proc/self/fd/${fd ?? 1}`).ctimeMs > statSync(mark).mtimeMs
  } catch {
    return true
  }
}

/** A small file for each terminal that shows a screen, named after its device and holding the process. */
function markOf({ fd }: Output): string | null {
  try {
    const device = readlinkSync(`/proc/self/fd/${fd ?? 1}`)
    if (!device.startsWith('/dev/')) return null
    return join(
      process.env.XDG_RUNTIME_DIR ?? tmpdir(),
      `gvx-screen-${process.getuid?.() ?? 0}${device.replaceAll('/', '-')}`,
    )
  } catch {
    // no /proc: then `reset` has to do
    return null
  }
}

function markScreen(output: Output): void {
  const mark = markOf(output)
  if (mark === null) return
  try {
    writeFileSync(mark, `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // without the mark only the repair after a kill -9 is lost
  }
}

function unmarkScreen(output: Output): void {
  const mark = markOf(output)
  if (mark !== null) rmSync(mark, { force: true })
}

function readPid(mark: string): number | null {
  try {
    const pid = Number(readFileSync(mark, 'utf8'))
    return Number.isInteger(pid) && pid > 0 ? pid : null
  } catch {
    return null
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
