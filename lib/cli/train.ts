import { expandPoints } from '../sweep/points.ts'
import { sweepOfOne } from '../sweep/spec.ts'
import { defineCommand, withSet } from './command.ts'
import { runSession, wantsData } from './session.ts'
import { printSession, type SessionReport, withBoard } from './session-report.ts'

type Args = {
  config: string
  set: string[]
  seed?: number
  name?: string
  rerun?: boolean
  since?: number
  dryRun?: boolean
  detach?: boolean
}

export default defineCommand<Args, SessionReport>({
  kind: 'sweep',
  builder: (y) =>
    withSet(y)
      .positional('config', {
        type: 'string',
        demandOption: true,
        describe: 'Configuration file, from here or among the experiments that come with gvx',
      })
      .option('seed', { type: 'number', describe: 'Seed of initialisation, data order and noise' })
      .option('name', { type: 'string', describe: 'What the run is called' })
      .option('dry-run', { alias: 'n', type: 'boolean', describe: 'Only say what would be done' })
      .option('rerun', { type: 'boolean', describe: 'Train anew, even if a run with this configuration has finished' })
      .option('since', { type: 'number', hidden: true })
      .option('detach', { type: 'boolean', describe: 'Train in the background; gvx watch shows it' }),
  async run(args, context) {
    const sweep = sweepOfOne(args.config, args.name ?? null)
    const seed = args.seed === undefined ? [] : [`seed=${args.seed}`]
    const session = await runSession(
      {
        sweep,
        points: expandPoints(sweep, [...args.set, ...seed]),
        retryFailed: true, // who asks for one run by name wants it, whatever became of it before
        since: args.rerun ? Date.now() : (args.since ?? 0),
        force: false,
        jobs: 1,
        maxFailures: 1,
        plain: args.plain ?? false,
        toStderr: wantsData(args),
        dryRun: args.dryRun ?? false,
        detach: args.detach ?? false,
      },
      context,
    )
    return withBoard(session, context)
  },
  print: printSession,
})
