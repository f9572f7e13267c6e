import { restoreRun } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import { defineCommand } from './command.ts'

export default defineCommand<{ runs: string[] }, { restored: string[] }>({
  kind: 'restore',
  builder: (y) => y.positional('runs', { type: 'string', array: true, demandOption: true, describe: 'run12 or 12' }),
  async run(args, context) {
    const store = await context.store()
    const ids = args.runs.map((name) => resolveRunName(store, name))
    for (const id of ids) restoreRun(store, id)
    return { restored: ids.map((id) => `run${id}`) }
  },
  print: ({ restored }, out) => out.line(`${restored.join(', ')}: back in the lists.`),
})
