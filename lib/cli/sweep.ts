import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { RunStatus } from '../core/updates.ts'
import { expandPoints, keysOfFile, onlyPoints } from '../sweep/points.ts'
import { loadSweep } from '../sweep/spec.ts'
import { defineCommand, withSet } from './command.ts'
import { requestOf, SESSION_OPTIONS, wholeNumber } from './session-options.ts'
import { printSession, runAndRank, type SessionReport } from './session-report.ts'

type Args = {
  file: string
  set: string[]
  dryRun?: boolean
  only: string[]
  retry?: string
  rerun?: boolean
  prune?: boolean
  yes?: boolean
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
      .option('dry-run', SESSION_OPTIONS.dryRun)
      .option('only', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [] as string[],
        describe: "Only these points: a label, or 'multiLabel.nouns=3'",
      })
      .option('retry', { type: 'string', describe: 'Also take up points that ended so: failed,lost' })
      .option('rerun', SESSION_OPTIONS.rerun)
      .option('prune', {
        type: 'boolean',
        describe: 'Stop runs of points that are no longer in the file, after asking',
      })
      .option('yes', { alias: 'y', type: 'boolean', describe: 'Answer yes to what --prune asks' })
      .option('force', SESSION_OPTIONS.force)
      .option('jobs', SESSION_OPTIONS.jobs)
      .option('keep-going', { type: 'boolean', describe: 'Go on when points fail (the default)' })
      .option('fail-fast', { type: 'boolean', describe: 'Stop when a point fails' })
      .option('max-failures', { type: 'number', describe: 'Stop when so many points have failed' })
      .option('detach', SESSION_OPTIONS.detach)
      .conflicts({ 'keep-going': ['fail-fast', 'max-failures'], 'fail-fast': ['max-failures'] }),
  async run(args, context) {
    const sweep = loadSweep(args.file)
    const points = expandPoints(sweep, args.set)
    return runAndRank(
      requestOf(args, {
        sweep,
        points: args.only.length > 0 ? onlyPoints(points, args.only) : points,
        fileKeys: keysOfFile(sweep),
        prune: args.prune ? { sure: args.yes ?? false } : null,
        retry: statuses(args.retry),
        maxFailures: args.failFast ? 1 : (wholeNumber('--max-failures', args.maxFailures) ?? Number.POSITIVE_INFINITY),
      }),
      context,
    )
  },
  print: printSession,
})

const RETRYABLE: readonly RunStatus[] = ['failed', 'lost', 'stopped', 'preempted']

function statuses(text: string | undefined): ReadonlySet<RunStatus> {
  const words = text?.split(',').map((word) => word.trim()) ?? []
  const unknown = words.find((word) => !(RETRYABLE as readonly string[]).includes(word))
  if (unknown !== undefined)
    throw new UserError(`--retry ${printable(unknown)}: expected ${RETRYABLE.join(', ')}.`, {
      hint: 'what was stopped, preempted or lost goes on without --retry, unless earlyStop ended it',
    })
  return new Set(words as RunStatus[])
}
