import { UserError } from '../core/errors.ts'
import type { RunStatus } from '../core/updates.ts'
import { FORMATS } from './print.ts'
import type { SessionRequest } from './session.ts'

/** Options that `gvx sweep`, `gvx train` and `gvx resume` share, as yargs takes them. */
export const SESSION_OPTIONS = {
  dryRun: { alias: 'n', type: 'boolean', describe: 'Only print the plan, and why it is so' },
  rerun: { type: 'boolean', describe: 'Train anew, whatever there is' },
  force: { type: 'boolean', describe: 'Take over runs of a machine that cannot be asked whether it lives' },
  jobs: { alias: 'j', type: 'number', describe: 'Workers at a time; as many as fit when not given' },
  detach: { type: 'boolean', describe: 'Go on in the background; gvx watch shows it' },
} as const

type SessionArgs = {
  dryRun?: boolean
  rerun?: boolean
  force?: boolean
  jobs?: number
  detach?: boolean
  plain?: boolean
}

/** Who asks for a run by its name wants it, whatever became of it before. */
const WHATEVER_BECAME_OF_IT: ReadonlySet<RunStatus> = new Set(['failed', 'stopped'])

/** What the shared options ask for; `what` says which points, and what is particular to the command. */
export const requestOf = (
  args: SessionArgs,
  what: Pick<SessionRequest, 'sweep' | 'points'> & Partial<SessionRequest>,
): SessionRequest => ({
  retry: WHATEVER_BECAME_OF_IT,
  since: args.rerun ? Date.now() : 0,
  force: args.force ?? false,
  jobs: wholeNumber('--jobs', args.jobs),
  maxFailures: Number.POSITIVE_INFINITY,
  plain: args.plain ?? false,
  toStderr: wantsData(args),
  dryRun: args.dryRun ?? false,
  detach: args.detach ?? false,
  ...what,
})

/** The value of an option that counts something, or null when it was not given. */
export function wholeNumber(option: string, value: number | undefined): number | null {
  if (value === undefined) return null
  if (Number.isInteger(value) && value >= 1) return value
  throw new UserError(`${option} must be a whole number of at least 1.`)
}

/** Whether the command line asks for data in a format of its own rather than for something to read. */
const wantsData = (args: object): boolean =>
  FORMATS.some((format) => (args as Record<string, unknown>)[format] === true)
