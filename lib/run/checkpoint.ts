import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { messageOf } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { readSafetensors, type StoredTensor, type WrittenTensor, writeSafetensors } from '../tensor/safetensors.ts'
import { syncFolder, type WriteChunk, writeDurably } from './disk.ts'

/** What training needs besides the tensors to go on as if it had never stopped. */
type TrainingState = {
  configHash: string
  /** Best value so far of `eval.metric`, and where. */
  best: { step: number; value: number } | null
  versions: Record<string, string>
  /** Whatever else the loop wants back: fault counts, seconds trained. */
  extra?: Record<string, unknown>
}

export type CheckpointContent = {
  model: Iterable<[string, WrittenTensor]>
  optimizer: Iterable<[string, WrittenTensor]>
  state: TrainingState
  /** Whether this is the best checkpoint so far: `checkpoints/best` then points to it. */
  best: boolean
}

export type Checkpoint = {
  step: number
  /** The checkpoint's own folder. */
  path: string
  state: TrainingState
  model: Map<string, StoredTensor>
  optimizer: Map<string, StoredTensor>
}

export type LoadResult = { checkpoint: Checkpoint | null; warnings: string[] }

const FILES = ['model.safetensors', 'optimizer.safetensors'] as const
type TensorFile = (typeof FILES)[number]

const sealSchema = z.object({ bytes: z.int().min(0), sha256: z.string() })
const stateSchema = z.object({
  format: z.literal(1),
  step: z.int().min(0),
  files: z.object({ 'model.safetensors': sealSchema, 'optimizer.safetensors': sealSchema }),
  state: z.object({
    configHash: z.string(),
    best: z.object({ step: z.int(), value: z.number() }).nullable(),
    versions: z.record(z.string(), z.string()),
    extra: z.record(z.string(), z.unknown()).optional(),
  }),
})
type StateFile = z.output<typeof stateSchema>

/** Two, so that one is left when the newest turns out damaged. */
const KEEP = 2

const checkpointsFolder = (runDir: string): string => join(runDir, 'checkpoints')

/**
 * Saves a checkpoint: everything is on the disk under another name before the one rename that makes it exist, so that
 * `kill -9`, a power cut and a full disk leave the older ones as they were. Afterwards only the newest two and the best
 * are kept.
 * @returns its folder relative to the run's, and its size
 * @throws UserError when the disk is full
 */
export function saveCheckpoint(
  runDir: string,
  step: number,
  content: CheckpointContent,
  write?: WriteChunk,
): { file: string; bytes: number } {
  const folder = checkpointsFolder(runDir)
  const name = `step-${String(step).padStart(8, '0')}`
  const next = join(folder, `.tmp-${name}`)
  rmSync(next, { recursive: true, force: true })
  mkdirSync(next, { recursive: true, mode: 0o700 })
  const metadata = { format: 'gvx', step: String(step) }
  const bytes = {
    'model.safetensors': writeSafetensors(content.model, metadata),
    'optimizer.safetensors': writeSafetensors(content.optimizer, metadata),
  }
  try {
    for (const file of FILES) writeDurably(join(next, file), bytes[file], write)
    const state: StateFile = {
      format: 1,
      step,
      files: { [FILES[0]]: seal(bytes[FILES[0]]), [FILES[1]]: seal(bytes[FILES[1]]) } as StateFile['files'],
      state: content.state,
    }
    writeDurably(join(next, 'state.json'), Buffer.from(JSON.stringify(state, null, 2)), write)
  } catch (error) {
    rmSync(next, { recursive: true, force: true })
    throw error
  }
  syncFolder(next)
  publish(folder, next, name)
  if (content.best) pointBest(folder, name)
  prune(folder)
  return { file: `checkpoints/${name}`, bytes: bytes[FILES[0]].length + bytes[FILES[1]].length }
}

/**
 * The newest checkpoint whose bytes are those that were written; a damaged one is passed over with a warning.
 * @returns a null checkpoint when there is none
 */
export function latestCheckpoint(runDir: string): LoadResult {
  const warnings: string[] = []
  const folder = checkpointsFolder(runDir)
  for (const name of checkpointNames(folder)) {
    try {
      return { checkpoint: readCheckpoint(join(folder, name)), warnings }
    } catch (error) {
      warnings.push(`checkpoint ${name} is damaged (${printable(messageOf(error))}); the one before it is used`)
    }
  }
  return { checkpoint: null, warnings }
}

/** The best checkpoint by `eval.metric`, or the newest where none was evaluated. */
export function bestCheckpoint(runDir: string): LoadResult {
  const path = join(checkpointsFolder(runDir), 'best')
  if (!existsSync(path)) return latestCheckpoint(runDir)
  try {
    return { checkpoint: readCheckpoint(path), warnings: [] }
  } catch (error) {
    const rest = latestCheckpoint(runDir)
    return { ...rest, warnings: [`the best checkpoint is damaged (${printable(messageOf(error))})`, ...rest.warnings] }
  }
}

/** Reads a checkpoint's folder and checks every byte of it. Throws an Error that says what is wrong. */
function readCheckpoint(path: string): Checkpoint {
  const parsed = stateSchema.safeParse(JSON.parse(readFileSync(join(path, 'state.json'), 'utf8')))
  if (!parsed.success) throw new Error('state.json is not one of gvx')
  const { step, files, state } = parsed.data
  const read = (file: TensorFile): Map<string, StoredTensor> => {
    const bytes = readFileSync(join(path, file))
    if (bytes.length !== files[file].bytes) throw new Error(`${file} has ${bytes.length} of ${files[file].bytes} bytes`)
    if (seal(bytes).sha256 !== files[file].sha256) throw new Error(`the checksum of ${file} is wrong`)
    return readSafetensors(bytes, file)
  }
  return { step, path, state, model: read('model.safetensors'), optimizer: read('optimizer.safetensors') }
}

const seal = (bytes: Uint8Array) => ({ bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })

/** A run that was resumed may pass a step again: the older checkpoint of that step stays readable until it is replaced. */
function publish(folder: string, next: string, name: string): void {
  const target = join(folder, name)
  const old = join(folder, `${name}.old`)
  if (existsSync(target)) {
    rmSync(old, { recursive: true, force: true })
    renameSync(target, old)
  }
  renameSync(next, target)
  syncFolder(folder)
}

function pointBest(folder: string, name: string): void {
  const next = join(folder, '.tmp-best')
  rmSync(next, { force: true })
  symlinkSync(name, next)
  renameSync(next, join(folder, 'best'))
  syncFolder(folder)
}

function prune(folder: string): void {
  const keep = new Set(
    checkpointNames(folder)
      .filter((name) => !name.endsWith('.old'))
      .slice(0, KEEP),
  )
  const best = bestName(folder)
  if (best) keep.add(best)
  for (const name of readdirSync(folder)) {
    if (keep.has(name) || name === 'best') continue
    // Without state.json it is no checkpoint any more, so a crash in the middle of the removal leaves nothing damaged.
    rmSync(join(folder, name, 'state.json'), { force: true })
    rmSync(join(folder, name), { recursive: true, force: true })
  }
}

function bestName(folder: string): string | null {
  try {
    return readlinkSync(join(folder, 'best'))
  } catch {
    return null
  }
}

/** Names of whole checkpoints, newest first; what a crash left behind is not among them. */
function checkpointNames(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^step-\d+(\.old)?$/.test(name) && existsSync(join(folder, name, 'state.json')))
    .sort((a, b) => stepOf(b) - stepOf(a) || a.length - b.length)
}

const stepOf = (name: string): number => Number.parseInt(name.slice('step-'.length), 10)
