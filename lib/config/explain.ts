import type { z } from 'zod'
import { UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import { expectation, type JsonSchema, nearest } from './keys.ts'
import type { Path } from './yaml.ts'

/** What zod checked and how to speak of it. */
export type Checked = {
  value: unknown
  jsonSchema: JsonSchema
  /** `file:line:column`, `--set …`: where the value at a path comes from; '' when it comes from nowhere. */
  where(path: Path, of: 'key' | 'value'): string
  /** What to do next, when no single key is to blame. */
  hint: string
}

/** One sentence for each of zod's issues, in one UserError. */
export function explainIssues(issues: readonly z.core.$ZodIssue[], checked: Checked): UserError {
  const found = issues.flatMap((issue) => explainIssue(issue, checked))
  const sentences = [...new Set(found.map((f) => f.sentence))]
  const shown = sentences.slice(0, 10)
  if (sentences.length > shown.length) shown.push(`… and ${plural(sentences.length - shown.length, 'more mistake')}.`)
  const only = found.length === 1 ? found[0] : null
  return new UserError(shown.join('\n'), { hint: only?.help ?? checked.hint })
}

type Explained = { sentence: string; help: string | null }

function explainIssue(issue: z.core.$ZodIssue, checked: Checked): Explained[] {
  const { path } = issue
  const key = path.map(String).join('.')
  const at = (p: Path, of: 'key' | 'value') => {
    const where = checked.where(p, of)
    return where ? `${where}: ` : ''
  }
  if (issue.code === 'unrecognized_keys') {
    const parent = schemaAt(checked.jsonSchema, path)
    return issue.keys.map((name) => {
      const full = key ? `${key}.${name}` : name
      return { sentence: unknownKey(at([...path, name], 'key'), full, allKeys(checked.jsonSchema), parent), help: null }
    })
  }
  const name = key || 'the file'
  if (issue.code === 'custom')
    return [{ sentence: `${at(path, 'value')}${name} ${issue.message.replace(/\.$/, '')}.`, help: null }]
  const schema = schemaAt(checked.jsonSchema, path)
  const wanted = schema ? expectation(schema) : issue.message
  const got = show(valueAt(checked.value, path))
  return [{ sentence: `${at(path, 'value')}${name} must be ${wanted}, got ${got}.`, help: helpOf(key, schema) }]
}

/** `x.yaml:3:1: unknown key model.embedDimm; did you mean model.embedDim?` */
export function unknownKey(at: string, key: string, known: Iterable<string>, section?: JsonSchema | null): string {
  const guess = nearest(key, known)
  if (guess) return `${at}unknown key ${printable(key)}; did you mean ${guess}?`
  const siblings = Object.keys(section?.properties ?? {})
  const list = siblings.length > 0 && siblings.length <= 12 ? `; known here: ${siblings.join(', ')}` : ''
  return `${at}unknown key ${printable(key)}${list}.`
}

/** The help of a key, for the line under an error. */
function helpOf(key: string, schema: JsonSchema | null): string | null {
  if (!schema?.description) return null
  const usual = schema.default === undefined ? '' : ` (default ${show(schema.default)})`
  return `${key}: ${schema.description}${usual}`
}

function schemaAt(schema: JsonSchema, path: Path): JsonSchema | null {
  let here: JsonSchema | undefined = schema
  for (const part of path) {
    if (typeof part === 'number') {
      const lists: JsonSchema | undefined = here?.anyOf?.find((s) => s.type === 'array') ?? here
      here = lists?.prefixItems?.[part] ?? lists?.items
    } else here = here?.properties?.[String(part)]
    if (!here) return null
  }
  return here ?? null
}

function valueAt(value: unknown, path: Path): unknown {
  let here = value
  for (const part of path) {
    if (here === null || typeof here !== 'object' || !Object.hasOwn(here, part)) return undefined
    here = (here as Record<PropertyKey, unknown>)[part]
  }
  return here
}

/** Every dotted key below a schema, sections included. */
function allKeys(schema: JsonSchema, prefix = ''): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const key = prefix ? `${prefix}.${name}` : name
    return [key, ...allKeys(child, key)]
  })
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value)
  return printable(text.length > 60 ? `${text.slice(0, 57)}…` : text)
}
