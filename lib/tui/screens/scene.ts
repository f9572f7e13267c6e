import type { Canvas } from '../../eval/canvas.ts'
import type { ColourDepth } from '../ansi.ts'
import type { Row } from '../pace.ts'
import type { LabState } from '../reducer.ts'
import type { SystemState } from '../system.ts'
import type { View } from '../view.ts'

/** All that a screen is drawn from: the same scene always gives the same lines. */
export type Scene = {
  state: LabState
  view: View
  /** Text of the dialog that is open. */
  typed: string
  /** All rows, and those of the list in its order. */
  rows: readonly Row[]
  visible: readonly Row[]
  width: number
  height: number
  /** Milliseconds since the epoch. */
  now: number
  /** Without colours the lines of a chart are told apart by their dashes. */
  colour: boolean
  notice: string | null
  system: SystemState | null
  /** What the selected run's worker printed, when the caller can read it. */
  workerLog: readonly string[]
  /** The latest picture of each sample of the selected run, read when the segments are shown. */
  pictures: readonly { sample: string; step: number; canvas: Canvas }[]
  depth: ColourDepth
}
