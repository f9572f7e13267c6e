import { resolve } from 'node:path'
import { writeHfFolder } from '../model/hf-folder.ts'
import { openRun, readRunConfig } from '../run/folder.ts'
import { resolveRunName } from '../store/names.ts'
import type { Context } from './command.ts'
import { checkpointOfRun } from './model-of-run.ts'

export type ExportedWeights = { format: 'hf'; run: string; step: number; dir: string; files: string[] }

/**
 * Writes the weights of a run into an empty folder, as transformers loads them with `GroupViTModel.from_pretrained`.
 * @param weights of the best checkpoint or of the last; what the run's `eval.weights` says when undefined
 */
export async function exportWeights(
  name: string,
  dir: string,
  weights: 'best' | 'last' | undefined,
  context: Context,
): Promise<ExportedWeights> {
  const run = openRun(context.home, `run${resolveRunName(await context.store(), name)}`)
  const config = readRunConfig(run.dir)
  const checkpoint = checkpointOfRun(run, weights ?? config.eval.weights, context)
  const target = resolve(dir)
  const files = writeHfFolder(target, config.model, checkpoint.model)
  return { format: 'hf', run: run.identity.id, step: checkpoint.step, dir: target, files }
}
