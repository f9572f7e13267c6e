import { configHash, defaults, flattenConfig } from '../config/hash.ts'
import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { EXIT, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { SweepFile } from './spec.ts'

/** One training of a sweep. */
export type SweepPoint = {
  /** `two-stage/seed=1` */
  key: string
  label: string
  seed: number
  /** Values that set the point apart from the others, by dotted key. */
  overrides: Record<string, unknown>
  config: Config
  configHash: string
}

type Row = { label: string[]; overrides: Record<string, unknown>; from: string }

/**
 * All points of a sweep, complete and checked, in the order of the file; seeds vary fastest.
 * @param sets `key=value` of the command line, over every point
 * @throws UserError on the first mistake in any of them
 */
export function expandPoints(sweep: SweepFile, sets: readonly string[] = []): SweepPoint[] {
  const { spec } = sweep
  const points = rowsOf(sweep).flatMap(({ label, overrides, from }) =>
    spec.seeds.map((seed): SweepPoint => {
      const name = label.join(', ') || sweep.name
      const values = { ...spec.set, ...overrides, seed, name: name.slice(0, 120) }
      const config = loadPoint(sweep.base, values, from, sets)
      return {
        key: `${name}/seed=${config.seed}`,
        label: name,
        seed: config.seed,
        overrides,
        config,
        configHash: identityOf(config, spec.identity.ignore),
      }
    }),
  )
  const left = points.filter(({ config }) => !spec.exclude.some((row) => matches(config, row)))
  if (left.length === 0) throw new UserError(`${sweep.where(['exclude'])}: exclude leaves no point.`)
  refuseTwins(left, sweep)
  return left
}

/** Keys of all points of the file as it stands, whatever a command line makes of it; null when it needs a `--set` to be complete. */
export function keysOfFile(sweep: SweepFile): ReadonlySet<string> | null {
  try {
    return new Set(expandPoints(sweep).map(({ key }) => key))
  } catch (error) {
    if (error instanceof UserError) return null
    throw error
  }
}

/**
 * The points that `--only` asks for: labels, and `key=value` terms. Terms of one key widen the choice, terms of
 * different keys narrow it.
 */
export function onlyPoints(points: SweepPoint[], only: readonly string[]): SweepPoint[] {
  const terms = only.map((text) => {
    const equals = text.indexOf('=')
    return points.some((point) => point.label === text) || equals < 0
      ? { key: '', value: text }
      : { key: text.slice(0, equals).trim(), value: text.slice(equals + 1).trim() }
  })
  const chosen = points.filter((point) => {
    const values = flattenConfig(point.config)
    const effective = (key: string) => (key === '' ? point.label : show(values[key]))
    return terms.every(({ key }) => terms.some((term) => term.key === key && effective(key) === term.value))
  })
  if (chosen.length === 0)
    throw new UserError(`no point of the sweep fits --only ${printable(only.join(' '))}.`, {
      hint: `the points are ${[...new Set(points.map((point) => point.label))].join('; ')}`,
      exitCode: EXIT.nothingFound,
    })
  return chosen
}

function rowsOf(sweep: SweepFile): Row[] {
  const { points, grid, zip } = sweep.spec
  const shortNames = shorten([...Object.keys(grid), ...Object.keys(zip)])
  let rows: Row[] = points
    ? Object.entries(points).map(([name, row]) => ({
        label: [name],
        overrides: row ?? {},
        from: `${sweep.where(['points', name], 'key')}, point ${printable(name)}`,
      }))
    : [{ label: [], overrides: {}, from: sweep.where([]) }]
  const addColumn = (keys: string[], values: unknown[][], section: string) => {
    rows = rows.flatMap((row) =>
      values.map((tuple) => ({
        label: [...row.label, ...keys.map((key, i) => `${shortNames.get(key)}=${show(tuple[i])}`)],
        overrides: { ...row.overrides, ...Object.fromEntries(keys.map((key, i) => [key, tuple[i]])) },
        from: `${sweep.where([section, keys[0]], 'key')}, ${keys.map((key, i) => `${key}=${show(tuple[i])}`).join(', ')}`,
      })),
    )
  }
  for (const [key, values] of Object.entries(grid)) addColumn([key], values.map((v) => [v]), 'grid') // biome-ignore format: one thought
  const zipped = Object.keys(zip)
  if (zipped.length > 0) addColumn(zipped, zip[zipped[0]].map((_, i) => zipped.map((key) => zip[key][i])), 'zip') // biome-ignore format: one thought
  return rows
}

/** Rules between two keys may be broken where neither is set by the point: then the point itself is named. */
function loadPoint(base: string, overrides: Row['overrides'], from: string, sets: readonly string[]): Config {
  try {
    return loadConfig(base, { overrides, overridesFrom: from, sets }).config
  } catch (error) {
    if (!(error instanceof UserError) || /^(\S+:\d+:\d+|--set)/.test(error.message)) throw error
    throw new UserError(`${from}: ${error.message}`, { hint: error.hint, cause: error })
  }
}

/** The last part of each key where that is enough to tell them apart. */
function shorten(keys: string[]): Map<string, string> {
  const last = (key: string) => key.slice(key.lastIndexOf('.') + 1)
  return new Map(
    keys.map((key) => [key, keys.filter((other) => last(other) === last(key)).length > 1 ? key : last(key)]),
  )
}

/** The hash of a configuration in which the keys that the sweep ignores are at their defaults. */
function identityOf(config: Config, ignore: readonly string[]): string {
  if (ignore.length === 0) return configHash(config)
  const usual = defaults()
  const copy = structuredClone(config) as Record<string, unknown>
  for (const key of ignore) {
    const path = key.split('.')
    const section = path.slice(0, -1).reduce((node, part) => node[part] as Record<string, unknown>, copy)
    section[path.at(-1)!] = usual[key]
  }
  return configHash(copy as Config)
}

function refuseTwins(points: SweepPoint[], sweep: SweepFile): void {
  const seen = new Map<string, SweepPoint>()
  for (const point of points) {
    const identity = `${point.configHash} ${point.seed}`
    const twin = seen.get(identity)
    if (twin)
      throw new UserError(
        `${sweep.where(['points'])}: ${twin.key} and ${point.key} are the same configuration and seed.`,
        { hint: 'take one of them out, or look whether a --set overrides what told them apart' },
      )
    seen.set(identity, point)
  }
}

function matches(config: Config, row: Record<string, unknown>): boolean {
  const values = flattenConfig(config)
  return Object.entries(row).every(([key, value]) => JSON.stringify(values[key]) === JSON.stringify(value))
}

const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
