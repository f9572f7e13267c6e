import { rowSchema } from '../config/editor-schema.ts'
import type { JsonSchema } from '../config/keys.ts'
import { sweepJsonSchema } from './spec.ts'

/** JSON schema of a sweep file for editors: what its rows and columns may say is known key by key. */
export function sweepEditorSchema(): JsonSchema {
  const schema = sweepJsonSchema()
  const row = rowSchema()
  const keys = row.properties ?? {}
  const columns: JsonSchema = {
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(keys).map(([key, items]) => [key, { type: 'array', items, minItems: 1 }]),
    ),
    additionalProperties: false,
  }
  const { points, grid, zip, exclude, identity, ...others } = schema.properties ?? {}
  const described = (known: JsonSchema, now: JsonSchema): JsonSchema => ({ description: known.description, ...now })
  const ignore: JsonSchema = { type: 'array', items: { enum: Object.keys(keys) } }
  return {
    ...schema,
    properties: {
      ...others,
      set: described(others.set, row),
      points: described(points, { type: 'object', additionalProperties: { anyOf: [row, { type: 'null' }] } }),
      grid: described(grid, columns),
      zip: described(zip, columns),
      exclude: described(exclude, { type: 'array', items: row }),
      identity: { ...identity, properties: { ignore: described(identity.properties?.ignore ?? {}, ignore) } },
    },
  }
}
