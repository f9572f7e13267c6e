import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { messageOf } from '../core/errors.ts'
import type { RunFolder } from '../run/folder.ts'
import { lastWords, workerLogFile } from '../run/worker-log.ts'
import { attemptsOf, recordFailedStart } from './failed-start.ts'
import type { Launcher } from './launcher.ts'

const GVX = fileURLToPath(new URL('../../bin/gvx.js', import.meta.url))

/**
 * Workers as processes of this machine, each in a session of its own: closing the terminal, Ctrl-C and the death of
 * whoever started them do not reach them.
 * @param command what is run with the run's folder as its last argument; `gvx worker` unless a test plays the worker
 */
export function localLauncher(command: string[] = [process.execPath, GVX, 'worker']): Launcher {
  return {
    name: 'local',
    async start(run, { threads, force }) {
      const before = attemptsOf(run)
      const log = workerLogFile(run.dir, before + 1)
      const args = [...command.slice(1), run.dir, ...(force ? ['--force'] : [])]
      const output = openSync(log, 'a', 0o600)
      const child = spawn(command[0], args, {
        detached: true,
        cwd: run.identity.cwd,
        stdio: ['ignore', output, output],
        env: { ...process.env, ...threadsEnvironment(threads) },
      })
      closeSync(output)
      let ended = false
      child.on('exit', (code, signal) => {
        const asked = signal === 'SIGTERM' || signal === 'SIGINT'
        if (existsSync(run.dir) && attemptsOf(run) === before)
          recordFailedStart(run, asked ? 'stopped' : 'failed', reasonOf(code, signal, log))
        ended = true
      })
      child.unref()
      const spawned = await started(child, run)
      return { ended: () => ended || !spawned }
    },
  }
}

/** Every library that would otherwise take all cores for itself. */
const threadsEnvironment = (threads: number): Record<string, string> => ({
  GVX_THREADS: String(threads),
  OMP_NUM_THREADS: String(threads),
  TF_NUM_INTRAOP_THREADS: String(threads),
  TF_NUM_INTEROP_THREADS: '1',
  VIPS_CONCURRENCY: '1',
})

async function started(child: ChildProcess, run: RunFolder): Promise<boolean> {
  try {
    await once(child, 'spawn')
    return true
  } catch (error) {
    recordFailedStart(run, 'failed', `the worker could not be started: ${messageOf(error)}`)
    return false
  }
}

function reasonOf(code: number | null, signal: NodeJS.Signals | null, log: string): string {
  const how = signal === null ? `with exit code ${code}` : `by ${signal}`
  const words = lastWords(readFileSync(log, 'utf8').split('\n')) ?? 'it printed nothing'
  return `the worker ended ${how} before it began: ${words}`
}
