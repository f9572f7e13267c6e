import type { Cell, Column } from './command.ts'

/** How numbers look in every table. */

/** A fraction as the field writes mIoU: percent with one decimal. */
export const percent = (value: Cell): string =>
  value === null
    ? '–'
    : typeof value !== 'number'
      ? String(value)
      : Number.isFinite(value)
        ? (value * 100).toFixed(1)
        : String(value)

/** IoU of a class; one that is in neither masks nor predictions has none. */
export const classIou = (value: Cell): string => (Number.isNaN(value) ? '–' : percent(value))

/** A difference of fractions in percent points, with its sign. */
export const signedPercent = (value: Cell): string =>
  typeof value !== 'number' || !Number.isFinite(value)
    ? '–'
    : `${value < 0 ? '−' : '+'}${Math.abs(value * 100).toFixed(1)}`

/** Four significant digits; very small and large numbers with an exponent. */
export function short(value: Cell): string {
  if (value === null) return '–'
  if (typeof value !== 'number') return String(value)
  if (!Number.isFinite(value) || Number.isInteger(value)) return String(value)
  const size = Math.abs(value)
  return size >= 1e-3 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(2)
}

/** Whether a metric is a fraction that people read in percent. */
const isPercent = (name: string): boolean =>
  /(?:^|[/.])(?:mIoU\w*|aAcc|mAcc|boundary\w*|oracleIoU|bestOverlap|iou|acc[15]|meanAcc1)$/i.test(name)

export const metricText =
  (name: string) =>
  (value: Cell): string =>
    isPercent(name) ? percent(value) : short(value)

/** `2026-11-24 09:05` in local time. */
export function moment(ms: number | null): string {
  if (ms === null) return '–'
  const d = new Date(ms)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`
}

/** A difference that there need not be. */
export const deltaText = (value: Cell): string => (value === null ? '' : signedPercent(value))

/** `43.8 ± 1.2`, or the mean alone where there is one value. */
export const meanText = ({ mean, std }: { mean: number; std: number | null }): string =>
  std === null ? percent(mean) : `${percent(mean)} ± ${percent(std)}`

/** The 95 % interval of a difference and its two-sided p, as papers write them. Cells: `intervalCells`. */
export const intervalColumns = (weight = 6): Column[] => [
  { name: '95 % interval', align: 'right', weight, only: 'people' },
  { name: '95 % from', only: 'csv' },
  { name: 'to', only: 'csv' },
  {
    name: 'p',
    align: 'right',
    weight: weight + 0.5,
    format: (p) => (typeof p !== 'number' ? '' : p < 0.001 ? '< 0.001' : p.toFixed(3)),
  },
]

/** What stands in `intervalColumns`; nothing where there was no test. */
export const intervalCells = (test: { interval: readonly [number, number]; p: number } | null): Cell[] =>
  test === null ? [null, null, null, null] : [test.interval.map(signedPercent).join(' to '), ...test.interval, test.p]
