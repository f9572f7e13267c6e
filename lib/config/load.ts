import { existsSync } from 'node:fs'
import { basename, dirname, extname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { explainIssues } from './explain.ts'
import { configSections } from './keys.ts'
import { type Config, configJsonSchema, configSchema } from './schema.ts'
import { parseSet } from './set.ts'
import { type Path, parseYaml, readYaml, refuseForbidden, type YamlFile } from './yaml.ts'

/** Where the values of a configuration come from. */
export type ConfigSource = {
  /** The file that was named, or null when there is none. */
  file: string | null
  /** `scenes.yaml:3:5`, `--set model.stages=1`: for each key that somebody set. */
  origin: ReadonlyMap<string, string>
}

export type LoadOptions = {
  /** `key=value` of the command line; they come last. */
  sets?: readonly string[]
  /** Values by dotted key that come between the file and `sets`: a point of a sweep. */
  overrides?: Readonly<Record<string, unknown>>
  /** How an error speaks of `overrides`: `stages.yaml, point two-stage`. */
  overridesFrom?: string
  /** For a YAML text that is not in `path` (an inline `base:`). */
  cwd?: string
}

type Origin = (of: 'key' | 'value', inner: Path) => string
type Entry = { value: unknown; origin: Origin }
/** Values by dotted key: what is flat has nothing to merge deeply, and no prototype to pollute. */
type Entries = Map<string, Entry>

const MAX_EXTENDS = 16
const NEXT = 'gvx config schema lists every key with its bounds and help'

/**
 * One complete configuration: the defaults, under the files that `extends` names, under the file, under `overrides`, under `sets`.
 * Keys may be nested or dotted; lists replace lists. A null `path` starts from the defaults.
 * Every mistake is told in a sentence of its own with file, line, column and key (UserError, exit 2).
 */
export function loadConfig(path: string | null, options: LoadOptions = {}): { config: Config; source: ConfigSource } {
  const file = path === null ? null : resolveExperiment(path, options.cwd)
  const entries: Entries = new Map()
  if (file !== null) readLayer(file, [], entries)
  const from = options.overridesFrom ?? 'override'
  for (const [key, value] of Object.entries(options.overrides ?? {})) {
    refuseForbidden(key, from)
    assign(entries, key, { value, origin: () => from })
  }
  for (const text of options.sets ?? []) {
    const { key, value } = parseSet(text)
    assign(entries, key, { value, origin: () => `--set ${printable(text)}` })
  }
  const config = parseEntries(entries)
  const origin = new Map([...entries].map(([key, entry]) => [key, entry.origin('value', [])]))
  return { config, source: { file, origin } }
}

/** The frozen configuration of a run folder; the file names its position in errors. */
export function parseConfigText(text: string, file: string): Config {
  const entries: Entries = new Map()
  collect(parseYaml(text, file), entries)
  return parseEntries(entries)
}

/**
 * The file that a path means: as it is from the working directory, else below the experiments that come with gvx;
 * `.yaml` may be left out. UserError when there is none.
 */
export function resolveExperiment(path: string, cwd = process.cwd()): string {
  const candidates = [resolve(cwd, path), resolve(experimentsFolder(), path.replace(/^experiments[\\/]/, ''))]
  for (const candidate of candidates) {
    for (const file of extname(candidate) ? [candidate] : [candidate, `${candidate}.yaml`, `${candidate}.yml`])
      if (existsSync(file)) return file
  }
  throw new UserError(
    `${printable(path)} was found neither from ${cwd} nor among the experiments that come with gvx.`,
    {
      hint: `ls ${experimentsFolder()} shows those`,
    },
  )
}

/** The folder `experiments` of the package: two levels up from `lib/config` as from `dist/config`. */
export const experimentsFolder = (): string => resolve(dirname(fileURLToPath(import.meta.url)), '../../experiments')

function readLayer(file: string, chain: string[], entries: Entries): void {
  if (chain.includes(file) || chain.length >= MAX_EXTENDS)
    throw new UserError(`extends goes round in a circle: ${[...chain, file].map((f) => basename(f)).join(' → ')}.`)
  const yaml = readYaml(file)
  const base = isObject(yaml.value) ? yaml.value.extends : undefined
  if (base !== undefined) {
    if (typeof base !== 'string')
      throw new UserError(`${yaml.where(['extends'])}: extends must name one YAML file, relative to this one.`)
    const parent = resolve(dirname(file), base)
    if (!existsSync(parent))
      throw new UserError(`${yaml.where(['extends'])}: extends names ${printable(base)}, which does not exist.`, {
        hint: 'the path is relative to the file that extends',
      })
    readLayer(parent, [...chain, file], entries)
  }
  collect(yaml, entries)
}

/** Adds the values of a file by their dotted keys. */
function collect(yaml: YamlFile, entries: Entries): void {
  if (yaml.value === null) return
  if (!isObject(yaml.value)) throw new UserError(`${yaml.where([])}: expected keys and values, as in "seed: 1".`)
  const seen = new Map<string, Path>()
  const walk = (value: Record<string, unknown>, path: Path) => {
    for (const [name, child] of Object.entries(value)) {
      const here = [...path, name]
      const key = here.join('.')
      if (key === 'extends') continue
      // A heading whose keys are all commented out.
      if (child === null && configSections.has(key)) continue
      if (isObject(child)) {
        walk(child, here)
        continue
      }
      if (seen.has(key))
        throw new UserError(
          `${yaml.where(here, 'key')}: ${printable(key)} is also set at ${yaml.where(seen.get(key)!)}.`,
        )
      seen.set(key, here)
      assign(entries, key, { value: child, origin: (of, inner) => yaml.where([...here, ...inner], of) })
    }
  }
  walk(yaml.value, [])
}

/** Sets one key, which replaces everything below it and whatever stood in a section's place above it. */
function assign(entries: Entries, key: string, entry: Entry): void {
  for (const other of [...entries.keys()])
    if (other.startsWith(`${key}.`) || key.startsWith(`${other}.`)) entries.delete(other)
  entries.set(key, entry)
}

function parseEntries(entries: Entries): Config {
  const tree: Record<string, unknown> = {}
  for (const [key, { value }] of entries) {
    const path = key.split('.')
    let here = tree
    for (const part of path.slice(0, -1)) {
      if (!Object.hasOwn(here, part)) here[part] = {}
      here = here[part] as Record<string, unknown>
    }
    here[path.at(-1)!] = value
  }
  const result = configSchema.safeParse(tree)
  if (result.success) return result.data
  const where = (path: Path, of: 'key' | 'value'): string => {
    for (let n = path.length; n > 0; n--) {
      const entry = entries.get(path.slice(0, n).map(String).join('.'))
      if (entry) return entry.origin(of, path.slice(n))
    }
    // A section with unknown keys below, or a rule between two keys that were not set together.
    const prefix = path.map(String).join('.')
    for (const [key, entry] of entries) if (key.startsWith(`${prefix}.`)) return entry.origin('key', [])
    return ''
  }
  throw explainIssues(result.error.issues, { value: tree, jsonSchema: configJsonSchema(), where, hint: NEXT })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
