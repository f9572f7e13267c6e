import { UserError } from '../core/errors.ts'
import { openRun, type RunFolder, readRunConfig } from '../run/folder.ts'
import { readMarks } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import type { SweepPoint } from '../sweep/points.ts'
import { sweepOfRuns } from '../sweep/spec.ts'
import { defineCommand } from './command.ts'
import { runSession, wantsData } from './session.ts'
import { printSession, type SessionReport, withBoard } from './session-report.ts'

type Args = { runs: string[]; force?: boolean; jobs?: number; detach?: boolean }

export default defineCommand<Args, SessionReport>({
  kind: 'sweep',
  builder: (y) =>
    y
      .positional('runs', { type: 'string', array: true, demandOption: true, describe: 'Runs to go on with' })
      .option('force', {
        type: 'boolean',
        describe: 'Take over runs of a machine that cannot be asked whether it lives',
      })
      .option('jobs', { alias: 'j', type: 'number', describe: 'Workers at a time; as many as fit when not given' })
      .option('detach', { type: 'boolean', describe: 'Go on in the background; gvx watch shows it' }),
  async run(args, context) {
    const database = await context.store()
    const folders = args.runs.map((name) => openRun(context.home, `run${resolveRunName(database, name)}`))
    const runs = folders.map(({ identity }) => identity.id)
    const session = await runSession(
      {
        sweep: sweepOfRuns(runs),
        runs,
        points: folders.map(pointOf),
        retryFailed: true,
        since: 0,
        force: args.force ?? false,
        jobs: args.jobs ?? null,
        maxFailures: Number.POSITIVE_INFINITY,
        plain: args.plain ?? false,
        toStderr: wantsData(args),
        dryRun: false,
        detach: args.detach ?? false,
      },
      context,
    )
    return withBoard(session, context)
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
