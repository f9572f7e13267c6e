import { resolve } from 'node:path'
import { writeHfFolder } from '../model/hf-folder.ts'
import { openRun, readRunConfig } from '../run/folder.ts'
import { resolveRunName } from '../store/names.ts'
import { defineCommand } from './command.ts'
import { checkpointOfRun } from './model-of-run.ts'

type Args = { run: string; dir: string; format: 'hf'; weights?: 'best' | 'last' }
type Exported = { run: string; step: number; format: string; dir: string; files: string[] }

export default defineCommand<Args, Exported>({
  kind: 'export',
  builder: (y) =>
    y
      .positional('run', { type: 'string', demandOption: true, describe: 'Run whose weights are written' })
      .positional('dir', { type: 'string', demandOption: true, describe: 'Folder to write; it must not hold anything' })
      .option('format', {
        choices: ['hf'] as const,
        default: 'hf' as const,
        describe: 'hf: what transformers loads with GroupViTModel.from_pretrained',
      })
      .option('weights', {
        choices: ['best', 'last'] as const,
        describe: 'Of the best checkpoint or of the last; eval.weights of the run when not given',
      }),
  async run({ run: name, dir, format, weights }, context) {
    const run = openRun(context.home, `run${resolveRunName(await context.store(), name)}`)
    const config = readRunConfig(run.dir)
    const checkpoint = checkpointOfRun(run, weights ?? config.eval.weights, context)
    const target = resolve(dir)
    const files = writeHfFolder(target, config.model, checkpoint.model)
    return { run: run.identity.id, step: checkpoint.step, format, dir: target, files }
  },
  print({ run, step, dir, files }, out) {
    out.line(`${run}, step ${step}: ${files.join(', ')}`)
    out.line(`in ${dir}`)
  },
})
