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

/**
 * A pixel's scores depend only on which row it has in which windows: rows that meet are averaged once. Rows of which a
 * later window has left no pixel stay. `out`, of the image's size, takes the joints.
 */
export function joinWindows(
  width: number,
  height: number,
  windows: readonly Window[],
  parts: readonly PixelScores[],
  out: Int32Array = new Int32Array(width * height),
): JoinedWindows {
  if (windows.length === 1) return { width, height, row: parts[0].row, members: null }
  out.fill(-1)
  const members: number[][] = []
  let offset = 0
  for (const [i, window] of windows.entries()) {
    const rows = parts[i].scores.length / parts[i].classes
    const meetings = meetingsOf(members, rows, offset)
    for (let y = 0; y < window.height; y++)
      meetLine(out, (window.y + y) * width + window.x, parts[i].row, y * window.width, window.width, meetings)
    offset += rows
  }
  return { width, height, row: out, members }
}

/** Which joint a joint (or −1, none) and a row of the next window become: `joints[(joint + 1) * rows + row]`, or −1. */
type Meetings = { joints: Int32Array; rows: number; add(joint: number, row: number): number }

function meetingsOf(members: number[][], rows: number, offset: number): Meetings {
  return {
    joints: new Int32Array((members.length + 1) * rows).fill(-1),
    rows,
    add: (joint, row) => members.push(joint < 0 ? [offset + row] : [...members[joint], offset + row]) - 1,
  }
}

/** Adds the rows of a line of a window, `length` from `from` on, to the joints of its pixels, from `to` on. */
function meetLine(
  out: Int32Array,
  to: number,
  row: Int32Array,
  from: number,
  length: number,
  { joints, rows, add }: Meetings,
): void {
  // neighbours mostly meet the same rows
  let [before, own, joint] = [-2, -1, -1]
  for (let x = 0; x < length; x++) {
    const [nextBefore, nextOwn] = [out[to + x], row[from + x]]
    if (nextBefore !== before || nextOwn !== own) {
      before = nextBefore
      own = nextOwn
      const key = (before + 1) * rows + own
      if (joints[key] < 0) joints[key] = add(before, own)
      joint = joints[key]
    }
    out[to + x] = joint
  }
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
