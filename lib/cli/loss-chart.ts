import type { Store } from '../store/open.ts'
import { seriesOf } from '../store/runs.ts'
import { chartLines } from '../tui/chart.ts'
import { plainText } from '../tui/lines.ts'
import type { Out } from './command.ts'

export type Curve = { run: string; steps: number[]; values: number[] }

/** The points of a metric of each run, thinned to what a chart can show. */
export const curvesOf = (store: Store, ids: readonly number[], metric: string, upTo?: number): Curve[] =>
  ids.map((id) => {
    const { steps, values } = seriesOf(store, id, metric, { maxPoints: 400, upTo })
    return { run: `run${id}`, steps, values }
  })

/** Draws curves in braille; without colour each run has its own dashes. */
export function drawCurves(curves: readonly Curve[], title: string, out: Out): void {
  const drawn = curves.filter((curve) => curve.steps.length > 1)
  if (drawn.length === 0) return
  const width = Math.min(out.width === Number.POSITIVE_INFINITY ? 100 : out.width, 100)
  out.line(out.bold(title))
  const lines = chartLines(
    drawn.map((curve, i) => ({
      name: curve.run,
      tone: 'plain',
      dash: i,
      points: curve.steps.map((x, k) => ({ x, y: curve.values[k] })),
    })),
    { width, height: 10, formatX: String },
  )
  for (const line of lines) out.line(plainText(line))
  out.line(
    out.dim(drawn.map((curve, i) => `${['━━━━', '━ ━ ', '╍ ╍ ', '·  ·'][Math.min(i, 3)]} ${curve.run}`).join('   ')),
  )
}
