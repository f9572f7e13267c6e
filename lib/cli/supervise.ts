import { takeHandoff } from '../sweep/handoff.ts'
import { defineCommand } from './command.ts'
import { printSession, runAndRank, type SessionReport } from './session-report.ts'

type Args = { handoff: string }

/** What `--detach` and a screen that was left with points to train start: the session goes on here, without a screen. */
export default defineCommand<Args, SessionReport>({
  builder: (y) =>
    y.positional('handoff', { type: 'string', demandOption: true, describe: 'File that says what is to be done' }),
  run({ handoff }, context) {
    const { argv, ...session } = takeHandoff(handoff)
    const alone = { plain: true, toStderr: false, dryRun: false, detach: false }
    return runAndRank({ ...session, ...alone }, { ...context, argv })
  },
  print: printSession,
})
