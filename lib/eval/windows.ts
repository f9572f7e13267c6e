import type { PixelScores } from './maps.ts'

/** A part of an image, in pixels. */
export type Window = { x: number; y: number; width: number; height: number }

/**
 * Windows of mmsegmentation's sliding inference: `crop` wide and high where the image is large enough, `stride` apart,
 * the last ones pushed back so that they end at the border.
 */
export function slidingWindows(width: number, height: number, crop: number, stride: number): Window[] {
  const starts = (size: number): number[] =>
    Array.from({ length: Math.ceil(Math.max(0, size - crop) / stride) + 1 }, (_, i) =>
      Math.max(0, Math.min(i * stride + crop, size) - crop),
    )
  return starts(height).flatMap((y) =>
    starts(width).map((x) => ({ x, y, width: Math.min(crop, width), height: Math.min(crop, height) })),
  )
}

/** Which rows of its windows' scores each pixel of an image has. */
export type JoinedWindows = {
  width: number
  height: number
  /** Index into `members` of each pixel. */
  row: Int32Array
  /** Rows of the windows' scores, counted through all windows, that are averaged; null for a single window. */
  members: number[][] | null
}

/** Scores of an image from those of its windows: each pixel has the mean over the windows it lies in. */
export const averageWindows = (
  width: number,
  height: number,
  windows: readonly Window[],
  scores: readonly PixelScores[],
): PixelScores => averageScores(joinWindows(width, height, windows, scores), scores)

/** A pixel's scores depend only on which row it has in which windows: rows that meet are averaged once. */
export function joinWindows(
  width: number,
  height: number,
  windows: readonly Window[],
  parts: readonly PixelScores[],
): JoinedWindows {
  if (windows.length === 1) return { width, height, row: parts[0].row, members: null }
  const row = new Int32Array(width * height).fill(-1)
  const members: number[][] = []
  const met = new Map<number, number>()
  const SHIFT = 2 ** 26
  let offset = 0
  for (const [i, window] of windows.entries()) {
    const part = parts[i]
    // neighbours mostly meet the same rows
    let [lastKey, lastJoint] = [-1, -1]
    for (let y = 0; y < window.height; y++)
      for (let x = 0; x < window.width; x++) {
        const at = (window.y + y) * width + window.x + x
        const own = offset + part.row[y * window.width + x]
        const key = (row[at] + 1) * SHIFT + own
        if (key !== lastKey) {
          let joint = met.get(key)
          if (joint === undefined) {
            joint = members.length
            members.push(row[at] < 0 ? [own] : [...members[row[at]], own])
            met.set(key, joint)
          }
          lastKey = key
          lastJoint = joint
        }
        row[at] = lastJoint
      }
    offset += part.scores.length / part.classes
  }
  return { width, height, ...onlyMet(row, members) }
}

/** Keeps the rows that some pixel still has. */
function onlyMet(row: Int32Array, members: readonly number[][]): { row: Int32Array; members: number[][] } {
  const renamed = new Int32Array(members.length).fill(-1)
  const kept: number[][] = []
  for (let i = 0; i < row.length; i++) {
    if (renamed[row[i]] < 0) {
      renamed[row[i]] = kept.length
      kept.push(members[row[i]])
    }
    row[i] = renamed[row[i]]
  }
  return { row, members: kept }
}

/** The mean scores of joined windows; the windows may be scored in more than one way. */
export function averageScores(joined: JoinedWindows, scores: readonly PixelScores[]): PixelScores {
  const { width, height, row, members } = joined
  const classes = scores[0].classes
  if (members === null) return { ...scores[0], width, height }
  const all = concat(scores)
  const means = new Float64Array(members.length * classes)
  for (const [r, own] of members.entries())
    for (let c = 0; c < classes; c++) {
      let sum = 0
      for (const member of own) sum += all[member * classes + c]
      means[r * classes + c] = sum / own.length
    }
  return { width, height, row, scores: means, classes }
}

function concat(scores: readonly PixelScores[]): Float64Array {
  const out = new Float64Array(scores.reduce((sum, part) => sum + part.scores.length, 0))
  let offset = 0
  for (const part of scores) {
    out.set(part.scores, offset)
    offset += part.scores.length
  }
  return out
}
