import type { JsonSchema } from './keys.ts'
import { configKeys } from './keys.ts'
import { configJsonSchema } from './schema.ts'

/** JSON schema of a configuration file as people write it: it may extend another, and keys may be nested or dotted. */
export function configEditorSchema(): JsonSchema {
  const schema = withDottedKeys(configJsonSchema() as JsonSchema)
  const parent: JsonSchema = {
    type: 'string',
    description: 'A configuration that this one starts from, relative to it',
  }
  return { ...schema, properties: { extends: parent, ...schema.properties } }
}

/** Every key of a configuration, dotted, as a row of a sweep file sets it. */
export const rowSchema = (): JsonSchema => ({
  type: 'object',
  properties: Object.fromEntries(configKeys),
  additionalProperties: false,
})

function withDottedKeys(schema: JsonSchema): JsonSchema {
  if (!schema.properties) return schema
  const properties: Record<string, JsonSchema> = {}
  for (const [name, child] of Object.entries(schema.properties)) {
    properties[name] = withDottedKeys(child)
    for (const [inner, leaf] of Object.entries(properties[name].properties ?? {}))
      if (!leaf.properties) properties[`${name}.${inner}`] = leaf
  }
  return { ...schema, properties }
}
