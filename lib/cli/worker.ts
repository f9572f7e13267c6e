import { runWorker } from '../run/worker.ts'
import { defineCommand } from './command.ts'

type Args = { rundir: string; force?: boolean }

/** What a launcher starts: one run, to its end, in this process. */
export default defineCommand<Args, void>({
  builder: (y) =>
    y
      .positional('rundir', { type: 'string', demandOption: true, describe: 'Folder of the run' })
      .option('force', { type: 'boolean', describe: 'Take the run over from a machine that cannot be asked' }),
  async run({ rundir, force }, { setExit }) {
    setExit(await runWorker(rundir, { force }))
  },
})
