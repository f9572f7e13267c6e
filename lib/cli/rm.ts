import { UserError } from '../core/errors.ts'
import { removeRun } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import { getRun } from '../store/runs.ts'
import { defineCommand } from './command.ts'

export default defineCommand<{ runs: string[] }, { removed: string[] }>({
  kind: 'rm',
  builder: (y) =>
    y.positional('runs', {
      type: 'string',
      array: true,
      demandOption: true,
      describe: 'run12, 12, @last, @best or tag:x',
    }),
  async run(args, context) {
    const store = await context.store()
    const runs = args.runs.map((name) => getRun(store, resolveRunName(store, name)))
    const busy = runs.find((run) => run.status === 'running' || run.status === 'starting')
    if (busy) throw new UserError(`${busy.run} is at work.`, { hint: `gvx stop ${busy.run} ends it first` })
    for (const run of runs) removeRun(store, run.id, Date.now())
    return { removed: runs.map((run) => run.run) }
  },
  print({ removed }, out) {
    out.line(`${removed.join(', ')}: out of every list; gvx restore brings back, nothing was deleted.`)
  },
})
