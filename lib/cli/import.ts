import { hostname } from 'node:os'
import { basename, resolve } from 'node:path'
import { configHash } from '../config/hash.ts'
import { parseSet } from '../config/set.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { type ImportedModel, readForeignModel } from '../model/hf-folder.ts'
import { downloadFromHub, isHubId } from '../model/hub.ts'
import { saveCheckpoint } from '../run/checkpoint.ts'
import { createRun } from '../run/folder.ts'
import { openEventLog } from '../run/log.ts'
import { startedAt, thisProcess } from '../run/process.ts'
import { readProvenance } from '../run/provenance.ts'
import type { WrittenTensor } from '../tensor/safetensors.ts'
import { type Context, defineCommand, withSet } from './command.ts'

type Args = { source: string; name?: string; set: string[] }
type Imported = { run: string; name: string; source: string; parameters: number }

export default defineCommand<Args, Imported>({
  kind: 'import',
  builder: (y) =>
    withSet(y)
      .positional('source', {
        type: 'string',
        demandOption: true,
        describe: 'Folder or hub id of Hugging Face, .safetensors file, or .pth of the reference code',
      })
      .option('name', { type: 'string', describe: 'What the run is called; the name of the source when not given' })
      .epilogue('Weights without a config.json do not tell the number of heads: --set model.numHeads=6'),
  async run({ source, name, set }, context) {
    const path = isHubId(source)
      ? await downloadFromHub(source, { home: context.home, say: context.say, signal: context.signal })
      : resolve(source)
    const model = readForeignModel(path, modelOverrides(set))
    const called = name ?? basename(source).replace(/\.[a-z]+$/, '')
    const run = await writeImportedRun(model, called, context)
    const parameters = [...model.weights.values()].reduce((sum, { data }) => sum + data.length, 0)
    return { run, name: called, source, parameters }
  },
  print({ run, name, source, parameters }, out) {
    out.line(`${run} ${printable(name)}: ${parameters.toLocaleString('en-US')} numbers from ${printable(source)}`)
    out.line(`gvx eval ${run} evaluates it`)
  },
})

/** `--set model.…` of weights whose shapes do not tell everything. */
function modelOverrides(sets: readonly string[]): Record<string, unknown> {
  const over: Record<string, unknown> = {}
  for (const { key, value } of sets.map(parseSet)) {
    const [section, name, ...deeper] = key.split('.')
    if (section !== 'model' || deeper.length > 0)
      throw new UserError(`--set ${printable(key)} has no part in an import.`, {
        hint: 'model.numHeads and its like do',
      })
    over[name] = value
  }
  return over
}

/** An imported model is a run that has finished at step 0 and whose one checkpoint is its best. */
async function writeImportedRun({ config, weights }: ImportedModel, name: string, context: Context): Promise<string> {
  const { dirtyDiff: _, ...provenance } = await readProvenance([...context.argv])
  const named = { ...config, name: name.slice(0, 120) }
  const hash = configHash(named)
  const run = createRun(context.home, {
    name: named.name,
    kind: 'imported',
    config: named,
    configHash: hash,
    seed: 0,
    sweep: null,
    point: null,
    label: named.name,
    ...provenance,
  })
  const log = openEventLog(run.dir)
  const { git, versions } = provenance
  try {
    log.emit({
      type: 'run.started',
      attempt: log.attempt,
      resumedFrom: 0,
      totalSteps: 0,
      host: hostname(),
      pid: process.pid,
      pidStarted: startedAt(thisProcess()),
      backend: 'none',
      device: 'none',
      threads: 0,
      git,
      versions,
    })
    const model = [...weights].map(([key, { shape, data }]): [string, WrittenTensor] => [key, { shape, data }])
    const state = { configHash: hash, best: null, versions }
    const saved = saveCheckpoint(run.dir, 0, { model, optimizer: [], state, best: true })
    log.emit({ type: 'checkpoint.saved', step: 0, ...saved, best: true })
    log.emit({ type: 'run.finished', step: 0, status: 'finished', error: null })
  } finally {
    log.close()
  }
  return run.identity.id
}
