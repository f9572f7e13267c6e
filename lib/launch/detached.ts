import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const GVX = fileURLToPath(new URL('../../bin/gvx.js', import.meta.url))

/** Runs a gvx command in a session of its own, its output appended to a file; it outlives this process. */
export async function runDetached(argv: readonly string[], logFile: string): Promise<number> {
  const output = openSync(logFile, 'a', 0o600)
  const child = spawn(process.execPath, [GVX, ...argv], { detached: true, stdio: ['ignore', output, output] })
  closeSync(output)
  await once(child, 'spawn')
  child.unref()
  return child.pid!
}
