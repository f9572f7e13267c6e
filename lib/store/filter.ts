import { nearest } from '../config/keys.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { type Field, fieldNames, resolveField } from './fields.ts'
import type { Store } from './open.ts'

/** A condition as SQL over the alias `r` of runs, with the values bound to it. */
export type Condition = { sql: string; values: (string | number)[] }

type Token = { kind: 'word' | 'text' | 'op' | 'open' | 'close'; text: string; at: number }

const HINT = `as in: status=finished and model.stages=2 and voc.mIoU>0.3`

/**
 * `status=finished and (model.stages=2 or not tag=old) and voc.mIoU>0.3` as a condition. Operators: = != < <= > >= and ~ (contains).
 * The text never becomes SQL: fields are looked up, values are bound.
 */
export function parseFilter(store: Store, text: string): Condition {
  const tokens = tokenize(text)
  const values: (string | number)[] = []
  let i = 0
  const fail = (what: string, at = tokens[i]?.at ?? text.length) =>
    new UserError(`the filter ${JSON.stringify(printable(text))} ${what} at character ${at + 1}.`, { hint: HINT })
  const isWord = (word: string) => tokens[i]?.kind === 'word' && tokens[i].text.toLowerCase() === word

  function or(depth: number): string {
    let sql = and(depth)
    while (isWord('or')) {
      i++
      sql = `(${sql} OR ${and(depth)})`
    }
    return sql
  }
  function and(depth: number): string {
    let sql = not(depth)
    while (isWord('and')) {
      i++
      sql = `(${sql} AND ${not(depth)})`
    }
    return sql
  }
  function not(depth: number): string {
    if (depth > 50) throw fail('is nested too deeply')
    if (isWord('not')) {
      i++
      return `NOT ${not(depth + 1)}`
    }
    if (tokens[i]?.kind === 'open') {
      i++
      const sql = or(depth + 1)
      if (tokens[i]?.kind !== 'close') throw fail('lacks a closing parenthesis')
      i++
      return `(${sql})`
    }
    return comparison()
  }
  function comparison(): string {
    const name = tokens[i]
    if (name?.kind !== 'word') throw fail('expects a field')
    const field = resolveField(store, name.text)
    if (!field) {
      const guess = nearest(name.text, fieldNames(store))
      throw new UserError(`the filter names the unknown field ${printable(name.text)}.`, {
        hint: guess ? `did you mean ${guess}?` : 'a field is a column of gvx runs, a config key or a metric',
      })
    }
    i++
    const op = tokens[i]
    if (op?.kind !== 'op') throw fail('expects one of = != < <= > >= ~')
    i++
    const value = tokens[i]
    if (value?.kind !== 'word' && value?.kind !== 'text') throw fail('expects a value')
    i++
    return compare(field, op.text, value)
  }
  function compare(field: Field, op: string, value: Token): string {
    const number = value.kind === 'word' && value.text.trim() !== '' ? Number(value.text) : Number.NaN
    const numeric = !Number.isNaN(number)
    if (op === '~') {
      values.push(...field.values, value.text)
      return `coalesce(instr(lower(${field.sql}), lower(?)) > 0, 0)`
    }
    if (!numeric && op !== '=' && op !== '!=' && !field.text)
      throw new UserError(
        `the filter compares ${printable(field.name)} with ${printable(value.text)}, which is no number.`,
        {
          hint: HINT,
        },
      )
    if (field.many) {
      values.push(...field.values, value.text)
      const exists = `EXISTS (SELECT 1 FROM (${field.sql}) WHERE v = ?)`
      return op === '!=' ? `NOT ${exists}` : exists
    }
    // SQLite puts every text above every number: a comparison with a number holds only for numbers.
    values.push(numeric ? number : value.text, ...field.values)
    const type = numeric ? "typeof(v) IN ('integer', 'real')" : "typeof(v) = 'text'"
    if (op === '!=') return `coalesce((SELECT NOT (${type} AND v = ?) FROM (SELECT ${field.sql} AS v)), 1)`
    return `coalesce((SELECT ${type} AND v ${op} ? FROM (SELECT ${field.sql} AS v)), 0)`
  }

  if (tokens.length === 0) throw fail('is empty')
  const sql = or(0)
  if (i < tokens.length) throw fail('ends too early')
  return { sql, values }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  const pattern = /\s*(?:(\()|(\))|(!=|<=|>=|=|<|>|~)|"([^"]*)"|'([^']*)'|([^\s()!=<>~"']+))/y
  while (pattern.lastIndex < text.trimEnd().length) {
    const at = pattern.lastIndex
    const match = pattern.exec(text)
    if (!match)
      throw new UserError(`the filter ${JSON.stringify(printable(text))} cannot be read at character ${at + 1}.`, {
        hint: HINT,
      })
    const [, open, close, op, double, single, word] = match
    if (open) tokens.push({ kind: 'open', text: open, at })
    else if (close) tokens.push({ kind: 'close', text: close, at })
    else if (op) tokens.push({ kind: 'op', text: op, at })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at })
    else tokens.push({ kind: 'text', text: double ?? single ?? '', at })
  }
  return tokens
}
