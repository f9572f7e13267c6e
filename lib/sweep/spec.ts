import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { basename, dirname, extname, resolve } from 'node:path'
import { z } from 'zod'
import { explainIssues } from '../config/explain.ts'
import type { JsonSchema } from '../config/keys.ts'
import { resolveExperiment } from '../config/load.ts'
import { requireKey } from '../config/set.ts'
import { type Path, readYaml, shortPath, type YamlFile } from '../config/yaml.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'

const value = z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(z.union([z.string(), z.number()]))])
const row = z.record(z.string(), value)
const columns = z.record(z.string(), z.array(value).min(1))

/** A sweep file: what is asked, and the configurations that answer it. */
const sweepSchema = z.strictObject({
  question: z.string().min(1).max(300).describe('What the sweep is to decide, in one sentence'),
  base: z.string().describe('Configuration of every point: a YAML file, relative to this one'),
  set: row.default({}).describe('Values of every point, by dotted key, over those of base'),
  points: z.record(z.string().min(1).max(60), row.nullable()).optional().describe('Named rows of values by dotted key'),
  grid: columns.default({}).describe('Every combination of these values, by dotted key'),
  zip: columns.default({}).describe('Values taken together: the first of each list, the second of each, …'),
  seeds: z
    .array(
      z
        .int()
        .min(0)
        .max(2 ** 31 - 1),
    )
    .min(1)
    .default([0])
    .describe('Every point is trained once with each seed'),
  exclude: z.array(row).default([]).describe('Combinations that are left out: rows of values by dotted key'),
  metric: z
    .strictObject({
      name: z.string().default('eval/voc/mIoU').describe('Metric that ranks the points'),
      goal: z.enum(['max', 'min']).default('max').describe('Whether more or less of it is better'),
    })
    .prefault({}),
  identity: z
    .strictObject({
      ignore: z.array(z.string()).default([]).describe('Keys that do not make a finished run another one'),
    })
    .prefault({}),
  retry: z.int().min(0).max(10).default(0).describe('How often a point that fails is tried again within one sweep'),
  earlyStop: z
    .strictObject({
      rule: z
        .enum(['median'])
        .describe('Stop a run whose best is worse than the median of the finished runs at its step'),
      after: z.int().min(1).describe('Steps that every run may make'),
      minRuns: z.int().min(1).default(3).describe('Finished runs that there must be before any is stopped'),
    })
    .optional()
    .describe('Ends runs that are hopeless by the metric; off when left out'),
})

/** What a sweep file may say, as JSON schema. */
export const sweepJsonSchema = (): JsonSchema => z.toJSONSchema(sweepSchema, { io: 'input' }) as JsonSchema

type SweepSpec = z.output<typeof sweepSchema>

export type SweepFile = {
  /** Name and place: the same file is the same sweep, whoever runs it. */
  id: string
  name: string
  /** null for a session that no file describes. */
  file: string | null
  spec: SweepSpec
  /** `base` as a path that can be opened. */
  base: string
  /** Where something stands in the file, for errors. */
  where: YamlFile['where']
}

/**
 * Reads a sweep file; a path that is not found from the working directory is looked up under `experiments/`.
 * @throws UserError that names file, line and key
 */
export function loadSweep(path: string): SweepFile {
  const file = resolveExperiment(path)
  return checkSweep(readYaml(file), file)
}

/** The sweep of one point that `gvx train` runs. */
export function sweepOfOne(config: string, name: string | null): SweepFile {
  const file = resolveExperiment(config)
  const label = name ?? basename(file, extname(file))
  const spec = sweepSchema.parse({ question: `Training ${label}`, base: file, points: { [label]: null } })
  return { id: idOf(label, file), name: label, file, spec, base: file, where: () => printable(shortPath(file)) }
}

/** What `gvx resume` works on: runs that exist, each a point of its own. */
export function sweepOfRuns(runs: readonly string[]): SweepFile {
  const name = `resume ${runs.join(' ')}`
  const spec = sweepSchema.parse({ question: `Going on with ${runs.join(', ')}`, base: '-' })
  return { id: 'resume', name, file: null, spec, base: '', where: () => name }
}

function checkSweep(yaml: YamlFile, file: string): SweepFile {
  const result = sweepSchema.safeParse(yaml.value ?? {})
  if (!result.success)
    throw explainIssues(result.error.issues, {
      value: yaml.value,
      jsonSchema: sweepJsonSchema(),
      where: yaml.where,
      hint: 'experiments/ablations/stages.yaml is an example of a sweep',
    })
  const spec = result.data
  checkKeys(spec, yaml)
  checkZip(spec, yaml)
  const base = resolve(dirname(file), spec.base)
  if (!existsSync(base))
    throw new UserError(`${yaml.where(['base'])}: base names ${printable(spec.base)}, which does not exist.`, {
      hint: 'the path is relative to the sweep file',
    })
  const name = basename(file, extname(file))
  return { id: idOf(name, file), name, file, spec, base, where: yaml.where }
}

/** Every key that the file speaks of is one of the schema: told with its own line, before any point is parsed. */
function checkKeys(spec: SweepSpec, yaml: YamlFile): void {
  const check = (values: Record<string, unknown>, path: Path) => {
    for (const key of Object.keys(values)) requireKey(key, yaml.where([...path, key], 'key'))
  }
  check(spec.set, ['set'])
  check(spec.grid, ['grid'])
  check(spec.zip, ['zip'])
  for (const [name, values] of Object.entries(spec.points ?? {})) check(values ?? {}, ['points', name])
  for (const [i, values] of spec.exclude.entries()) check(values, ['exclude', i])
  for (const [i, key] of spec.identity.ignore.entries()) requireKey(key, yaml.where(['identity', 'ignore', i]))
}

function checkZip(spec: SweepSpec, yaml: YamlFile): void {
  const [[first, values] = ['', []], ...rest] = Object.entries(spec.zip)
  for (const [key, others] of rest) {
    if (others.length !== values.length)
      throw new UserError(
        `${yaml.where(['zip', key], 'key')}: ${key} has ${others.length} values, but ${first} has ${values.length}; zip takes them together.`,
      )
  }
}

function idOf(name: string, file: string): string {
  const place = createHash('sha256').update(file).digest('hex').slice(0, 6)
  return `${name.replace(/[^\w.-]+/g, '-')}-${place}`
}
