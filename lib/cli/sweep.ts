import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { expandPoints, onlyPoints } from '../sweep/points.ts'
import { loadSweep } from '../sweep/spec.ts'
import { defineCommand, withSet } from './command.ts'
import { runSession, wantsData } from './session.ts'
import { printSession, type SessionReport, withBoard } from './session-report.ts'

type Args = {
  file: string
  set: string[]
  dryRun?: boolean
  only: string[]
  retry?: string
  rerun?: boolean
  since?: number
  force?: boolean
  jobs?: number
  failFast?: boolean
  keepGoing?: boolean
  maxFailures?: number
  detach?: boolean
}

export default defineCommand<Args, SessionReport>({
  kind: 'sweep',
  builder: (y) =>
    withSet(y)
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'Sweep file, from here or among the experiments that come with gvx',
      })
      .option('dry-run', { alias: 'n', type: 'boolean', describe: 'Only print the plan, and why it is so' })
      .option('only', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: "Only these points: a label, or 'multiLabel.nouns=3'",
      })
      .option('retry', { type: 'string', describe: 'Also take up points that ended so: failed,lost' })
      .option('rerun', { type: 'boolean', describe: 'Train every point anew, whatever there is' })
      .option('since', { type: 'number', hidden: true })
      .option('force', {
        type: 'boolean',
        describe: 'Take over runs of a machine that cannot be asked whether it lives',
      })
      .option('jobs', { alias: 'j', type: 'number', describe: 'Workers at a time; as many as fit when not given' })
      .option('keep-going', { type: 'boolean', describe: 'Go on when points fail (the default)' })
      .option('fail-fast', { type: 'boolean', describe: 'Stop when a point fails' })
      .option('max-failures', { type: 'number', describe: 'Stop when so many points have failed' })
      .option('detach', { type: 'boolean', describe: 'Go on in the background; gvx watch shows it' })
      .conflicts({ 'keep-going': ['fail-fast', 'max-failures'], 'fail-fast': ['max-failures'] }),
  async run(args, context) {
    const sweep = loadSweep(args.file)
    const points = expandPoints(sweep, args.set)
    const session = await runSession(
      {
        sweep,
        points: args.only.length > 0 ? onlyPoints(points, args.only) : points,
        retryFailed: statuses(args.retry).includes('failed'),
        since: args.rerun ? Date.now() : (args.since ?? 0),
        force: args.force ?? false,
        jobs: count('--jobs', args.jobs),
        maxFailures: args.failFast ? 1 : (count('--max-failures', args.maxFailures) ?? Number.POSITIVE_INFINITY),
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

const RETRYABLE = ['failed', 'lost', 'stopped', 'preempted']

function statuses(text: string | undefined): string[] {
  const words = text?.split(',').map((word) => word.trim()) ?? []
  const unknown = words.find((word) => !RETRYABLE.includes(word))
  if (unknown !== undefined)
    throw new UserError(`--retry ${printable(unknown)}: expected ${RETRYABLE.join(', ')}.`, {
      hint: 'what was stopped, preempted or lost goes on without --retry',
    })
  return words
}

function count(option: string, value: number | undefined): number | null {
  if (value === undefined) return null
  if (Number.isInteger(value) && value >= 1) return value
  throw new UserError(`${option} must be a whole number of at least 1.`)
}
