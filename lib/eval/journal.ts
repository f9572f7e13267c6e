import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { ClassCount } from './confusion.ts'

/** What the labels of one image come to: every number of an evaluation is a sum over these. */
export type ImageResult = {
  id: string
  counts: ClassCount[]
  boundary: ClassCount[]
  /** With the best class for each segment. */
  oracle: ClassCount[]
  /** With only the classes that an ideal caption names. */
  named: ClassCount[]
  /** Best overlap of the objects in the mask with a segment. */
  overlaps: [cls: number, overlap: number][]
}

/** Images of an evaluation that are done, kept until all are. */
export type Journal = {
  known: ReadonlyMap<string, ImageResult>
  /** Seconds that the known images took. */
  seconds: number
  add(result: ImageResult, seconds: number): void
  /** `finished` removes it. */
  close(finished: boolean): void
}

/**
 * Opens the journal of an evaluation that `key` identifies, with what an interrupted one has left: one JSON line for the
 * key, then one an image. Another key, or a damaged file, begins anew; a torn last line is an image that was not done.
 */
export function openJournal(file: string, key: string): Journal {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  const known = new Map<string, ImageResult>()
  let seconds = 0
  const lines = readLines(file)
  if (lines[0] === key)
    for (const line of lines.slice(1)) {
      const { s, ...result } = JSON.parse(line) as ImageResult & { s: number }
      known.set(result.id, result)
      seconds += s
    }
  // written anew without what was torn
  const descriptor = openSync(file, 'w', 0o600)
  const append = (line: string) => writeSync(descriptor, `${line}\n`)
  append(key)
  if (known.size > 0) for (const line of lines.slice(1)) append(line)
  return {
    known,
    seconds,
    add: (result, took) => append(JSON.stringify({ ...result, s: took })),
    close(finished) {
      closeSync(descriptor)
      if (finished) rmSync(file, { force: true })
    },
  }
}

/** Whole lines up to the first that is not JSON. */
function readLines(file: string): string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  const [key, ...lines] = text.split('\n').slice(0, -1)
  const torn = lines.findIndex((line) => !isJson(line))
  return key === undefined ? [] : [key, ...(torn < 0 ? lines : lines.slice(0, torn))]
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}
