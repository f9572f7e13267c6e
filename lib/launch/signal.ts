import { UserError } from '../core/errors.ts'
import { lastAttempt } from '../run/attempt.ts'
import type { RunFolder } from '../run/folder.ts'
import { livenessOf } from '../run/process.ts'

/** Asks the worker of a run to finish its step, save a checkpoint and end. False when nobody works on the run. */
export const stopRun = (run: RunFolder): boolean => signalRun(run, 'SIGTERM')

/** Ends the worker of a run at once; the steps since its last checkpoint are lost. False when nobody works on the run. */
export const cancelRun = (run: RunFolder): boolean => signalRun(run, 'SIGKILL')

function signalRun({ dir, identity }: RunFolder, signal: NodeJS.Signals): boolean {
  const last = lastAttempt(dir)
  if (last === null) return false
  switch (livenessOf(last.process)) {
    case 'gone':
      return false
    case 'unknown':
      throw new UserError(`${identity.id} runs on ${last.process.host}, not on this machine`, {
        hint: `run \`gvx stop ${identity.id}\` there`,
      })
    case 'alive':
      return kill(last.process.pid, signal)
  }
}

function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false // it ended meanwhile
    throw error
  }
}
