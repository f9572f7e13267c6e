import { configJsonSchema } from './schema.ts'

/** As much of JSON Schema as zod writes for a configuration. */
export type JsonSchema = {
  type?: string
  properties?: Record<string, JsonSchema>
  additionalProperties?: boolean | JsonSchema
  items?: JsonSchema
  prefixItems?: JsonSchema[]
  anyOf?: JsonSchema[]
  enum?: unknown[]
  const?: unknown
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  minItems?: number
  maxItems?: number
  maxLength?: number
  default?: unknown
  description?: string
}

const root = configJsonSchema() as JsonSchema

/** Every key of a configuration that holds a value (`model.text.width`), with its schema, in the order of the schema. */
export const configKeys: ReadonlyMap<string, JsonSchema> = new Map(leaves(root, ''))

/** `model`, `model.text`, …: keys that hold other keys. */
export const configSections: ReadonlySet<string> = new Set(
  [...configKeys.keys()].flatMap((key) => {
    const parts = key.split('.')
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'))
  }),
)

function* leaves(schema: JsonSchema, prefix: string): Generator<[string, JsonSchema]> {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const key = prefix ? `${prefix}.${name}` : name
    if (child.properties) yield* leaves(child, key)
    else yield [key, child]
  }
}

/** What a schema accepts, in words: `a whole number from 0 to 3`. */
export function expectation(schema: JsonSchema): string {
  if (schema.anyOf) return schema.anyOf.map(expectation).join(' or ')
  if (schema.enum) return `one of ${schema.enum.join(', ')}`
  if (schema.const !== undefined) return String(schema.const)
  if (schema.type === 'object') return 'a section of keys'
  if (schema.type === 'array') return list(schema)
  if (schema.type === 'integer' || schema.type === 'number')
    return `${schema.type === 'integer' ? 'a whole number' : 'a number'}${bounds(schema)}`
  if (schema.type === 'boolean') return 'true or false'
  if (schema.type === 'null') return 'null'
  if (schema.type === 'string') return schema.maxLength ? `text of at most ${schema.maxLength} characters` : 'text'
  return 'something else'
}

function bounds({ minimum, maximum, exclusiveMinimum, type }: JsonSchema): string {
  const top = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : undefined
  const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : undefined
  if (low !== undefined && top !== undefined) return ` from ${low} to ${top}`
  if (exclusiveMinimum !== undefined)
    return type === 'integer' ? ` of at least ${exclusiveMinimum + 1}` : ` above ${exclusiveMinimum}`
  if (low !== undefined) return ` of at least ${low}`
  return top === undefined ? '' : ` of at most ${top}`
}

function list({ items, prefixItems, minItems, maxItems }: JsonSchema): string {
  const count = prefixItems?.length ?? (minItems !== undefined && minItems === maxItems ? minItems : undefined)
  const item = prefixItems?.[0] ?? items
  const each = item ? `, each ${expectation(item)}` : ''
  return `a list${count === undefined ? '' : ` of ${count}`}${each}`
}

/** The known key nearest to a mistyped one, or null when nothing is near. */
export function nearest(word: string, known: Iterable<string>): string | null {
  let best: string | null = null
  let bestCost = Math.max(2, Math.floor(word.length / 3)) + 1
  const consider = (candidate: string, cost: number) => {
    if (cost < bestCost) {
      best = candidate
      bestCost = cost
    }
  }
  for (const candidate of known) {
    consider(candidate, editDistance(word.toLowerCase(), candidate.toLowerCase()))
    // `stages` alone, or under the wrong section, is near to `model.stages`.
    const tail = candidate.split('.').at(-1)!
    if (tail !== candidate && word.split('.').at(-1)!.toLowerCase() === tail.toLowerCase()) consider(candidate, 1)
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]
}
