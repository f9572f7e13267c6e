import { realpathSync } from 'node:fs'
import { basename } from 'node:path'
import { type Config, configSchema } from '../config/schema.ts'
import { parseSet } from '../config/set.ts'
import { EXIT, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { bestCheckpoint, type Checkpoint, latestCheckpoint } from '../run/checkpoint.ts'
import { openRun, type RunFolder, readRunConfig } from '../run/folder.ts'
import { resolveRunName } from '../store/names.ts'
import { openBackend, type Params, tf } from '../tensor/index.ts'
import type { Context } from './command.ts'

/** `checkpoint` is the name of its folder. */
export type ModelOfRun = { run: RunFolder; config: Config; params: Params; step: number; checkpoint: string }

/**
 * The weights of a run on an open backend: those of its best checkpoint or of its last. `sets` override what has no part
 * in training: `eval.*`, `runtime.*`, `model.assignment.evalMaps`.
 */
export async function loadModelOfRun(
  name: string,
  sets: readonly string[],
  weights: Config['eval']['weights'] | undefined,
  context: Context,
): Promise<ModelOfRun> {
  const run = openRun(context.home, `run${resolveRunName(await context.store(), name)}`)
  const config = withOverrides(readRunConfig(run.dir), sets)
  const checkpoint = checkpointOfRun(run, weights ?? config.eval.weights, context)
  await openBackend({
    backend: config.runtime.backend,
    threads: config.runtime.threads || Number(process.env.GVX_THREADS ?? 0),
  })
  const params = Object.fromEntries(
    [...checkpoint.model].map(([key, { data, shape }]) => [key, tf.tensor(data, shape)]),
  )
  return { run, config, params, step: checkpoint.step, checkpoint: basename(realpathSync(checkpoint.path)) }
}

/** The best checkpoint of a run or its last. Damaged ones are named on the way; a UserError where there is none. */
export function checkpointOfRun(run: RunFolder, weights: Config['eval']['weights'], context: Context): Checkpoint {
  const { checkpoint, warnings } = weights === 'best' ? bestCheckpoint(run.dir) : latestCheckpoint(run.dir)
  for (const warning of warnings) context.say(`${run.identity.id}: ${warning}`)
  if (checkpoint === null)
    throw new UserError(`${run.identity.id} has no checkpoint yet.`, {
      hint: `gvx show ${run.identity.id} says how far it is`,
      exitCode: EXIT.nothingFound,
    })
  return checkpoint
}

const MAY_CHANGE = /^(?:eval|runtime)\.|^model\.assignment\.evalMaps$|^data\.scenes\./

/** A frozen configuration with `--set` values that only concern evaluation. */
function withOverrides(config: Config, sets: readonly string[]): Config {
  const copy = structuredClone(config) as unknown as Record<string, unknown>
  for (const text of sets) {
    const { key, value } = parseSet(text)
    if (!MAY_CHANGE.test(key))
      throw new UserError(`--set ${printable(text)}: ${key} is fixed since the run was trained.`, {
        hint: 'an evaluation can change eval.*, runtime.* and model.assignment.evalMaps',
      })
    const path = key.split('.')
    const last = path.pop()!
    const section = path.reduce((at, part) => at[part] as Record<string, unknown>, copy)
    section[last] = value
  }
  const parsed = configSchema.safeParse(copy)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new UserError(`${issue.path.join('.')}: ${issue.message}.`, { hint: 'gvx config schema lists the bounds' })
}
