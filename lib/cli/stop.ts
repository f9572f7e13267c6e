import { EXIT } from '../core/errors.ts'
import { plural } from '../core/text.ts'
import { cancelRun, stopRun } from '../launch/signal.ts'
import { openRun } from '../run/folder.ts'
import { resolveRunName } from '../store/names.ts'
import { defineCommand } from './command.ts'

type Args = { runs: string[]; cancel?: boolean }
type Stopped = { runs: { run: string; asked: boolean }[]; cancelled: boolean }

export default defineCommand<Args, Stopped>({
  kind: 'stop',
  builder: (y) =>
    y
      .positional('runs', { type: 'string', array: true, demandOption: true, describe: 'Runs to stop' })
      .option('cancel', { type: 'boolean', describe: 'At once; the steps since the last checkpoint are lost' }),
  async run(args, { home, store, setExit }) {
    const database = await store()
    const folders = args.runs.map((name) => openRun(home, `run${resolveRunName(database, name)}`))
    const end = args.cancel ? cancelRun : stopRun
    const runs = folders.map((folder) => ({ run: folder.identity.id, asked: end(folder) }))
    if (!runs.some(({ asked }) => asked)) setExit(EXIT.nothingFound)
    return { runs, cancelled: args.cancel ?? false }
  },
  print({ runs, cancelled }, out) {
    const asked = runs.filter((run) => run.asked).map(({ run }) => run)
    const idle = runs.filter((run) => !run.asked).map(({ run }) => run)
    if (asked.length > 0)
      out.line(`${asked.join(', ')}: ${cancelled ? 'ended at once' : 'finishes its step, saves a checkpoint and ends'}`)
    if (idle.length > 0) out.say(`nobody works on ${idle.join(', ')} (${plural(idle.length, 'run')})`)
  },
})
