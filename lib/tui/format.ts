/** Numbers as the screen and the plain printer write them. */

/** Names of metrics that are shares of one and are read in percent. */
const PERCENT = /(^|\/)(mIoU\w*|aAcc|mAcc|accuracy\w*|top\d|boundary\w*|iou\w*)$/i

const isPercent = (metric: string): boolean => PERCENT.test(metric)

/** A metric's value: percent with one digit where it is a share, else four significant digits. */
export function formatMetric(metric: string, value: number | undefined): string {
  if (value === undefined) return '–'
  if (!Number.isFinite(value)) return String(value)
  return isPercent(metric) ? (100 * value).toFixed(1) : formatNumber(value)
}

/** Four significant digits, without trailing noise: `0.001234`, `3.142`, `1234`, `1.2e-7`. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '∞' : '-∞'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace('e+', 'e')
  if (size >= 1000) return value.toFixed(0)
  if (size >= 100) return value.toFixed(1)
  if (size >= 10) return value.toFixed(2)
  return value.toFixed(size >= 1 ? 3 : 4)
}

/** A configuration value; text as it is. */
export const valueText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** A value beside an axis: three significant digits and no zeros behind them. */
export function formatTick(metric: string, value: number): string {
  const shown = Number((isPercent(metric) ? 100 * value : value).toPrecision(3))
  const size = Math.abs(shown)
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? shown.toExponential().replace('e+', 'e') : String(shown)
}

/** `812 B`, `3.4 MB`, `1.2 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let i = 0
  let value = bytes
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000
    i++
  }
  return `${i === 0 || value >= 99.5 ? value.toFixed(0) : value.toFixed(1)} ${units[i]}`
}

/** `09:02:11`, by the local clock. */
export function formatClock(ms: number): string {
  const d = new Date(ms)
  return [d.getHours(), d.getMinutes(), d.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':')
}

/** `45 %`; never 100 before the end. */
export function formatShare(share: number): string {
  const percent = share >= 1 ? 100 : Math.min(99, Math.floor(100 * share))
  return `${percent} %`
}

/** `5.2 step/s`, or `3.1 s/step` when slower than one a second. */
export function formatRate(stepsPerSecond: number): string {
  if (!Number.isFinite(stepsPerSecond) || stepsPerSecond <= 0) return '–'
  return stepsPerSecond >= 1 ? `${formatShort(stepsPerSecond)} step/s` : `${formatShort(1 / stepsPerSecond)} s/step`
}

const formatShort = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1))

/** Nothing but one column to a unit: Latin, and the lines, blocks and braille dots of the charts. */
const NARROW = /^[\x20-\u02ff\u2010-\u28ff]*$/

/** Columns a text takes in a terminal, by the wide ranges of Unicode; combining marks take none. */
export function textWidth(text: string): number {
  if (NARROW.test(text)) return text.length
  let width = 0
  for (const char of text) width += charWidth(char.codePointAt(0) ?? 0)
  return width
}

function charWidth(code: number): number {
  if (code < 0x300) return 1
  if ((code >= 0x300 && code <= 0x36f) || (code >= 0xfe00 && code <= 0xfe0f)) return 0
  const wide =
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  return wide ? 2 : 1
}

/** The text in at most `width` columns, with … where something was cut. */
export function truncate(text: string, width: number): string {
  if (width <= 0) return ''
  if (textWidth(text) <= width) return text
  let out = ''
  let used = 0
  for (const char of text) {
    const w = charWidth(char.codePointAt(0) ?? 0)
    if (used + w > width - 1) break
    out += char
    used += w
  }
  return `${out}…`
}

/** Truncated or padded to exactly `width` columns. */
export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const cut = truncate(text, width)
  const space = ' '.repeat(Math.max(0, width - textWidth(cut)))
  return align === 'left' ? cut + space : space + cut
}
