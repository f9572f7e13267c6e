import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { readForeignTensors } from '../model/hf-folder.ts'
import { initParams } from '../model/index.ts'
import { startFrom } from '../model/start.ts'
import type { Params } from '../tensor/index.ts'
import { bestCheckpoint } from './checkpoint.ts'
import { runsFolder } from './folder.ts'

/**
 * The parameters a run begins with: drawn by its seed, or those of `train.init`, which is a run (`run3`), the folder of
 * a run, or weights from elsewhere. Returns what the user should know about them.
 *
 * @throws UserError when `train.init` cannot be read or fits nowhere
 */
export function initialParams(config: Config, home: string): { params: Params; notes: string[] } {
  const { init } = config.train
  if (init === null) return { params: initParams(config.model, config.seed), notes: [] }
  const dir = /^(run)?\d+$/.test(init)
    ? join(runsFolder(home), init.startsWith('run') ? init : `run${init}`)
    : resolve(home, init)
  const found = existsSync(join(dir, 'run.json')) ? weightsOfRun(dir, init) : readForeignTensors(dir)
  const { params, fresh } = startFrom(config.model, config.seed, found, init)
  const notes = fresh.length > 0 ? [`${fresh.length} parameters are not in ${printable(init)} and begin anew`] : []
  return { params, notes }
}

function weightsOfRun(dir: string, name: string) {
  const { checkpoint } = bestCheckpoint(dir)
  if (checkpoint === null)
    throw new UserError(`train.init: ${printable(name)} has no checkpoint.`, {
      hint: 'let it train first, or name another run',
    })
  return checkpoint.model
}
