import { expandPoints } from '../sweep/points.ts'
import { sweepOfOne } from '../sweep/spec.ts'
import { defineCommand, withSet } from './command.ts'
import { requestOf, SESSION_OPTIONS } from './session-options.ts'
import { printSession, runAndRank, type SessionReport } from './session-report.ts'

type Args = {
  config: string
  set: string[]
  seed?: number
  name?: string
  rerun?: boolean
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
      .option('dry-run', SESSION_OPTIONS.dryRun)
      .option('rerun', SESSION_OPTIONS.rerun)
      .option('detach', SESSION_OPTIONS.detach),
  async run(args, context) {
    const sweep = sweepOfOne(args.config, args.name ?? null)
    const seed = args.seed === undefined ? [] : [`seed=${args.seed}`]
    const points = expandPoints(sweep, [...args.set, ...seed])
    return runAndRank(requestOf(args, { sweep, points, jobs: 1, maxFailures: 1 }), context)
  },
  print: printSession,
})
