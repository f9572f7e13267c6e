import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import { type Config, configSchema, NOT_IDENTITY, SCHEMA_VERSION } from './schema.ts'

/** Values by dotted key; lists stay lists. */
export const flattenConfig = (config: Config): Record<string, unknown> => flattenValues(config)

/** The same for values of any shape; what is not an object of values gives nothing. */
export function flattenValues(values: unknown): Record<string, unknown> {
  const flat: Record<string, unknown> = {}
  const walk = (value: unknown, key: string) => {
    if (value !== null && typeof value === 'object' && !Array.isArray(value))
      for (const [name, child] of Object.entries(value)) walk(child, key ? `${key}.${name}` : name)
    else if (key) flat[key] = value
  }
  walk(values, '')
  return flat
}

/**
 * Identity of a configuration: 12 hexadecimal digits over what differs from the defaults and changes the numbers.
 * The seed is no part of it; a key that is added to the schema later, at its default, does not change it.
 */
export function configHash(config: Config): string {
  const usual = defaults()
  const values = Object.entries(flattenConfig(config))
    .filter(([key, value]) => isIdentity(key) && !same(value, usual[key]))
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([SCHEMA_VERSION, values]))
    .digest('hex')
    .slice(0, 12)
}

/** The complete configuration as the YAML that a run folder keeps; parsing it gives the configuration again. */
export const freezeConfig = (config: Config): string =>
  stringify(config, { lineWidth: 0, aliasDuplicateObjects: false })

/** Keys whose values differ, as [key, value in a, value in b], in the order of the schema. */
export function diffConfigs(a: Config, b: Config): [key: string, a: unknown, b: unknown][] {
  const [left, right] = [flattenConfig(a), flattenConfig(b)]
  return [...new Set([...Object.keys(left), ...Object.keys(right)])]
    .filter((key) => !same(left[key], right[key]))
    .map((key) => [key, left[key], right[key]])
}

/** The default of every key, by dotted key. */
export const defaults = (): Record<string, unknown> => {
  defaultValues ??= flattenConfig(configSchema.parse({}))
  return defaultValues
}
let defaultValues: Record<string, unknown> | undefined

/** Whether a key changes the numbers of a run. */
const isIdentity = (key: string): boolean =>
  !NOT_IDENTITY.some((excluded) => key === excluded || key.startsWith(`${excluded}.`))

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
