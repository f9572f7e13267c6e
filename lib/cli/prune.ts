import { createInterface } from 'node:readline/promises'
import { messageOf, UserError } from '../core/errors.ts'
import { plural } from '../core/text.ts'
import { stopRun } from '../launch/signal.ts'
import { openRun } from '../run/folder.ts'
import { readRunState } from '../run/follow.ts'
import { hasEnded } from '../run/status.ts'
import { prunePoints, type Recording, vanishedPoints } from '../sweep/record.ts'
import type { SweepFile } from '../sweep/spec.ts'
import type { Context } from './command.ts'

/**
 * Takes the points that are gone from the file out of the sweep, and lets those of their runs that are at work save and end, after asking.
 * What has ended is only forgotten by the sweep: the runs stay.
 * @throws UserError where there is nobody to ask and `--yes` was not given; nothing has been done then
 */
export async function prune(
  sweep: SweepFile,
  now: Recording,
  { sure, dryRun }: { sure: boolean; dryRun: boolean },
  { home, say }: Context,
): Promise<void> {
  const gone = vanishedPoints(home, sweep, now)
  if (gone.length === 0) return say('--prune: no point is gone from the file')
  const busy = gone.filter(({ run }) => !hasEnded(readRunState(openRun(home, run!).dir).status))
  const names = (points: typeof gone) => points.map(({ key, run }) => `${key} (${run})`).join(', ')
  const what = `${plural(gone.length, 'point')} gone from the file: ${names(gone)}`
  if (dryRun) return say(`${what}; --prune would stop ${busy.length === 0 ? 'none, all have ended' : names(busy)}`)
  say(what)
  if (busy.length > 0 && !sure && !(await confirm(`stop ${names(busy)}?`))) return say('they are left alone')
  prunePoints(
    home,
    sweep,
    gone.map(({ key }) => key),
  )
  for (const { run } of busy) {
    try {
      if (stopRun(openRun(home, run!))) say(`${run} finishes its step, saves a checkpoint and ends`)
    } catch (error) {
      say(`${run} was not stopped: ${messageOf(error)}`)
    }
  }
}

async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new UserError('--prune asks before it stops runs, and there is nobody to ask.', {
      hint: '--prune --yes stops them without asking, -n only says which',
    })
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const gone = new Promise<string>((resolve) => lines.once('close', () => resolve('')))
    return /^y(es)?$/i.test((await Promise.race([lines.question(`${question} [y/N] `), gone])).trim())
  } finally {
    lines.close()
  }
}
