import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { unknownKey } from './explain.ts'
import { configKeys, configSections, type JsonSchema } from './keys.ts'
import { parseYaml, refuseForbidden } from './yaml.ts'

/**
 * One `--set key=value`. The value is YAML (`[6, 6]`, `true`, `1e-3`), except where the key wants text: globs and brace patterns
 * would be aliases and mappings in YAML. An unknown key is a UserError that names the nearest known one.
 */
export function parseSet(text: string): { key: string; value: unknown } {
  const equals = text.indexOf('=')
  const where = `--set ${printable(text)}`
  if (equals <= 0) throw new UserError(`${where}: expected key=value.`, { hint: '--set model.stages=1' })
  const key = text.slice(0, equals).trim()
  const raw = text.slice(equals + 1)
  refuseForbidden(key, where)
  const schema = requireKey(key, where)
  return { key, value: parseValue(raw, schema, where) }
}

/** The schema of a known key; UserError for an unknown key or a section. */
export function requireKey(key: string, where: string): JsonSchema {
  const schema = configKeys.get(key)
  if (schema) return schema
  if (configSections.has(key)) {
    const inside = [...configKeys.keys()].filter((known) => known.startsWith(`${key}.`)).slice(0, 3)
    throw new UserError(`${where}: ${key} is a section, not a value.`, { hint: `set one of ${inside.join(', ')}, …` })
  }
  throw new UserError(unknownKey(`${where}: `, key, configKeys.keys()), {
    hint: 'gvx config schema lists every key with its bounds and help',
  })
}

function parseValue(raw: string, schema: JsonSchema, where: string): unknown {
  const kinds = (schema.anyOf ?? [schema]).map((s) => s.type)
  const takesText = kinds.includes('string')
  let value: unknown
  try {
    value = raw.trim() === '' && takesText ? '' : parseYaml(raw, where, 'nothing').value
  } catch (error) {
    if (takesText && !/^\s*\[/.test(raw)) return raw
    throw error
  }
  if (!takesText) return value
  const fits =
    typeof value === 'string' ||
    (typeof value === 'number' && (kinds.includes('integer') || kinds.includes('number'))) ||
    (typeof value === 'boolean' && kinds.includes('boolean')) ||
    (Array.isArray(value) && kinds.includes('array')) ||
    (value === null && kinds.includes('null'))
  return fits ? value : raw
}
