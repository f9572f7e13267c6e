import { UserError } from '../core/errors.ts'
import { openRun, type RunFolder, readRunConfig } from '../run/folder.ts'
import { readMarks } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import type { SweepPoint } from '../sweep/points.ts'
import { sweepOfRuns } from '../sweep/spec.ts'
import { defineCommand } from './command.ts'
import { requestOf, SESSION_OPTIONS } from './session-options.ts'
import { printSession, runAndRank, type SessionReport } from './session-report.ts'

type Args = { runs: string[]; force?: boolean; jobs?: number; detach?: boolean }

export default defineCommand<Args, SessionReport>({
  kind: 'sweep',
  builder: (y) =>
    y
      .positional('runs', { type: 'string', array: true, demandOption: true, describe: 'Runs to go on with' })
      .option('force', SESSION_OPTIONS.force)
      .option('jobs', SESSION_OPTIONS.jobs)
      .option('detach', SESSION_OPTIONS.detach),
  async run(args, context) {
    const database = await context.store()
    const folders = args.runs.map((name) => openRun(context.home, `run${resolveRunName(database, name)}`))
    const runs = folders.map(({ identity }) => identity.id)
    return runAndRank(requestOf(args, { sweep: sweepOfRuns(runs), runs, points: folders.map(pointOf) }), context)
  },
  print: printSession,
})

function pointOf({ dir, identity }: RunFolder): SweepPoint {
  if (identity.kind === 'imported') throw new UserError(`${identity.id} was imported and cannot be trained on.`)
  if (readMarks(dir).removed !== null)
    throw new UserError(`${identity.id} was taken out.`, { hint: `gvx restore ${identity.id} brings it back` })
  const { id, label, seed, configHash } = identity
  return { key: id, label, seed, overrides: {}, config: readRunConfig(dir), configHash }
}
