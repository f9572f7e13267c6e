import { readFileSync, statSync } from 'node:fs'
import { relative } from 'node:path'
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { messageOf, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'

/** Above this a file is not a configuration. */
const MAX_BYTES = 1 << 20
/** Nesting beyond this is a mistake or an attack, and would overflow the stack. */
const MAX_DEPTH = 64
const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

export type Path = readonly PropertyKey[]

/** A parsed YAML file that remembers where everything stands. */
export type YamlFile = {
  file: string
  /** Plain objects, arrays and scalars. */
  value: unknown
  /** `file:line:column` of the value at a path (of its key when `of` is 'key'), or of the nearest thing that holds it. */
  where(path: Path, of?: 'key' | 'value'): string
}

/** Reads a YAML file; a missing, huge or unreadable one is a UserError. */
export function readYaml(file: string): YamlFile {
  let text: string
  try {
    const { size } = statSync(file)
    if (size > MAX_BYTES)
      throw new UserError(`${file} has ${(size / 2 ** 20).toFixed(1)} MiB: too large for a configuration.`)
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof UserError) throw error
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') throw new UserError(`${printable(file)} does not exist.`, { cause: error })
    throw new UserError(`${printable(file)} cannot be read: ${messageOf(error)}.`, { cause: error })
  }
  return parseYaml(text, shortPath(file))
}

/**
 * Parses YAML text. Refused, each with one sentence and its position: syntax errors, duplicate keys, aliases, custom tags,
 * integers that JavaScript would round, keys that are not text, and keys that reach into prototypes.
 * `positionsIn: 'nothing'` is for a value of the command line, where line and column would say nothing.
 */
export function parseYaml(text: string, file: string, positionsIn: 'lines' | 'nothing' = 'lines'): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, intAsBigInt: true, prettyErrors: false })
  const at = (offset: number): string => {
    if (positionsIn === 'nothing') return printable(file)
    const { line, col } = lines.linePos(offset)
    return `${printable(file)}:${line}:${col}`
  }
  const problem = document.errors[0] ?? document.warnings[0]
  if (problem) {
    const sentence = problem.code === 'DUPLICATE_KEY' ? 'this key stands here twice' : lowerFirst(problem.message)
    throw new UserError(`${at(problem.pos[0])}: ${printable(sentence)}.`)
  }
  const positions = new Map<string, { key: number; value: number }>([['', { key: 0, value: 0 }]])

  const plain = (node: Node | null, path: Path): unknown => {
    const offset = node?.range?.[0] ?? 0
    if (path.length > MAX_DEPTH) throw new UserError(`${at(offset)}: nested deeper than ${MAX_DEPTH} levels.`)
    if (node === null) return null
    if (isAlias(node)) throw new UserError(`${at(offset)}: aliases (*${node.source}) are not supported here.`)
    if (isScalar(node)) return scalar(node.value, at(offset))
    if (isSeq(node)) {
      return node.items.map((item, i) => {
        const start = (item as Node | null)?.range?.[0] ?? offset
        positions.set(positionKey([...path, i]), { key: start, value: start })
        return plain(item as Node | null, [...path, i])
      })
    }
    if (!isMap(node)) throw new UserError(`${at(offset)}: expected a value.`)
    const out: Record<string, unknown> = {}
    for (const pair of node.items) {
      const keyNode = pair.key as Node | null
      const keyOffset = keyNode?.range?.[0] ?? offset
      if (!isScalar(keyNode)) throw new UserError(`${at(keyOffset)}: a key must be plain text.`)
      const key = String(keyNode.value)
      refuseForbidden(key, at(keyOffset))
      const valueNode = pair.value as Node | null
      positions.set(positionKey([...path, key]), { key: keyOffset, value: valueNode?.range?.[0] ?? keyOffset })
      out[key] = plain(valueNode, [...path, key])
    }
    return out
  }

  const value = plain(document.contents as Node | null, [])
  return {
    file,
    value,
    where(path, of = 'value') {
      for (let n = path.length; n >= 0; n--) {
        const position = positions.get(positionKey(path.slice(0, n)))
        if (position) return at(n === path.length ? position[of] : position.value)
      }
      return printable(file)
    },
  }
}

/** A path as a person would write it: relative to the working directory when it lies below. */
export function shortPath(file: string): string {
  const short = relative(process.cwd(), file)
  return short && !short.startsWith('..') ? short : file
}

/** Throws on a key (dotted or not) that would reach into a prototype. */
export function refuseForbidden(key: string, where: string): void {
  const bad = key.split('.').find((part) => FORBIDDEN_KEYS.has(part))
  if (bad) throw new UserError(`${where}: ${bad} is not allowed as a key.`)
}

function scalar(value: unknown, where: string): unknown {
  if (typeof value !== 'bigint') return value
  if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER)
    throw new UserError(`${where}: the integer ${value} is beyond 2^53 and would be rounded.`, {
      hint: 'quote it if it is meant as text',
    })
  return Number(value)
}

const positionKey = (path: Path): string => path.map(String).join('\0')
const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, '')
