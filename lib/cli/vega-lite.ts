import type { ChartOptions, Line } from './line-chart.ts'
import { curveStyle } from './svg.ts'

/**
 * Curves as a Vega-Lite 6 specification with its data, for those who want to go on from the picture: the same colours and
 * dashes as `lineChart`. What is not finite, and on a logarithmic axis what is not above zero, is left out.
 */
export function vegaLiteSpec(
  lines: readonly Line[],
  { title, xLabel, width = 640, height = 360, log = false }: ChartOptions,
): object {
  const styles = lines.map((_, i) => curveStyle(i))
  const names = lines.map(({ name }) => name)
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title,
    width,
    height,
    data: {
      values: lines.flatMap(({ name, x, y }) =>
        x
          .map((at, i) => ({ run: name, [xLabel]: at, value: y[i] }))
          .filter(({ value }) => Number.isFinite(value) && (!log || value > 0)),
      ),
    },
    mark: { type: 'line', interpolate: 'linear' },
    encoding: {
      x: { field: xLabel, type: 'quantitative' },
      y: { field: 'value', type: 'quantitative', title, scale: { type: log ? 'log' : 'linear', zero: false } },
      color: { field: 'run', type: 'nominal', scale: { domain: names, range: styles.map(({ colour }) => colour) } },
      strokeDash: {
        field: 'run',
        type: 'nominal',
        scale: {
          domain: names,
          range: styles.map(({ dashes }) => (dashes === '' ? [1, 0] : dashes.split(' ').map(Number))),
        },
      },
    },
  }
}
