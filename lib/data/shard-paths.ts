import { readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { UserError } from '../core/errors.ts'

/** Shards of one source and how many times an epoch sees each sample. */
export type ShardSource = { shards: string; weight: number }

const SHARD = /\.(tar|tgz|tar\.gz|tar\.zst)$/

/**
 * The files that a pattern names, sorted: a path, a folder of shards, `*`, `?`, `[ab]` in any part, `{a,b}` and
 * `{000000..000127}` as webdataset writes them.
 *
 * @throws UserError where nothing matches.
 */
export function expandShards(pattern: string): string[] {
  const files = expandBraces(pattern).flatMap((one) => matchPath(path.resolve(one)))
  const shards = files.flatMap((file) => (isFolder(file) ? shardsIn(file) : [file]))
  if (shards.length === 0)
    throw new UserError(`No shard matches "${pattern}".`, {
      hint: 'Give .tar, .tar.gz or .tar.zst files, a folder of them, or a pattern such as cc3m-{00000..00331}.tar.',
    })
  return [...new Set(shards)].sort()
}

const shardsIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => SHARD.test(name))
    .map((name) => path.join(folder, name))

/** `a{b,c{1..2}}` → ab, ac1, ac2. A range keeps the width of its first number. */
export function expandBraces(pattern: string): string[] {
  const close = pattern.indexOf('}')
  const open = pattern.lastIndexOf('{', close)
  if (close < 0 || open < 0) return [pattern]
  const inside = pattern.slice(open + 1, close)
  const range = /^(\d+)\.\.(\d+)$/.exec(inside)
  const parts = range ? countUp(range[1], range[2]) : inside.split(',')
  const all = parts.flatMap((part) => expandBraces(pattern.slice(0, open) + part + pattern.slice(close + 1)))
  return [...new Set(all)] // braces within braces repeat themselves
}

function countUp(first: string, last: string): string[] {
  const [from, to] = [Number(first), Number(last)]
  if (to - from > 1_000_000) throw new UserError(`The range {${first}..${last}} has more than a million shards.`)
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => String(from + i).padStart(first.length, '0'))
}

function matchPath(absolute: string): string[] {
  const { root } = path.parse(absolute)
  let found = [root]
  for (const part of absolute.slice(root.length).split(path.sep)) {
    if (part === '') continue
    if (!/[*?[]/.test(part)) found = found.map((dir) => path.join(dir, part))
    else {
      const wanted = segmentPattern(part)
      found = found.flatMap((dir) =>
        namesIn(dir)
          .filter((name) => wanted.test(name))
          .map((name) => path.join(dir, name)),
      )
    }
  }
  return found.filter(exists)
}

function segmentPattern(segment: string): RegExp {
  const source = segment
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]')
  return new RegExp(`^${source}$`)
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir).filter((name) => !name.startsWith('.'))
  } catch {
    return []
  }
}

const exists = (file: string): boolean => statSync(file, { throwIfNoEntry: false }) !== undefined
const isFolder = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false
