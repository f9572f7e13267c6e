import { execFileSync, spawnSync } from 'node:child_process'
import { median } from '../lib/core/statistics.ts'

/**
 * The results of docs/scenes.md, as Markdown: `npx tsx bench/scenes-table.ts [HOME] [--set key=value…]`. Trains
 * ablations/scenes.yaml below HOME (runs that are there are not trained again), evaluates the easy tier's runs once more
 * with background by threshold, which is chosen on the validation split, and prints the table. Medians and ranges over
 * the seeds; test split, %.
 */

const [home = '.', ...sets] = process.argv.slice(2)
const SWEEP = ['sweep', 'ablations/scenes.yaml', ...sets]

type Point = { label: string; run: string | null }
type Row = { run: string; seconds: number; protocol: string; name: string; value: number }

const gvx = (...args: string[]) => ['bin/gvx.js', ...args, '--home', home]

function show(...args: string[]): void {
  const { status } = spawnSync(process.execPath, gvx(...args, '--plain'), { stdio: ['ignore', 2, 2] })
  if (status !== 0) process.exit(status ?? 1)
}

function ask<T>(...args: string[]): T {
  const answer = execFileSync(process.execPath, gvx(...args, '--json'), { encoding: 'utf8', maxBuffer: 1 << 26 })
  return JSON.parse(answer) as T
}

/** The newest final evaluation of every run under every protocol. */
function finals(): Row[] {
  const sql = `SELECT r.run, r.seconds, e.protocol_json, e.name, e.value
    FROM v_evaluations e JOIN v_runs r USING (number) WHERE e.newest_final ORDER BY r.number`
  const { rows } = ask<{ rows: [string, number, string, string, number][] }>('sql', sql)
  return rows.map(([run, seconds, protocol, name, value]) => ({ run, seconds, protocol, name, value }))
}

const percent = (value: number): string => (100 * value).toFixed(1)

/** `43.1 (40.2–45.0)`; one value stands alone. */
function summary(values: number[]): string {
  if (values.length === 0) return '–'
  const middle = percent(median(values))
  return values.length === 1 ? middle : `${middle} (${percent(Math.min(...values))}–${percent(Math.max(...values))})`
}

show(...SWEEP)
// The plan of a sweep that has ended says which run answers a point, also where another sweep has trained it.
const { points } = ask<{ points: Point[] }>(...SWEEP, '-n')
const runsOf = (label: string) => points.flatMap((point) => (point.label === label ? (point.run ?? []) : []))
show('eval', ...runsOf('easy'), '--voc', 'builtin:scenes#voc', '--background-threshold', 'auto', '--weights', 'last')

const rows = finals()
const isVoc = ({ protocol }: Row) => JSON.parse(protocol).backgroundThreshold !== null
function line(title: string, own: Row[]): void {
  const values = (name: string) => own.filter((row) => row.name === name).map((row) => row.value)
  const seconds = new Map(own.map((row) => [row.run, row.seconds]))
  const cells = ['mIoU', 'mIoUThings', 'oracleIoU'].map((name) => summary(values(name)))
  console.log(`| ${[title, seconds.size, ...cells, median([...seconds.values()]).toFixed(0)].join(' | ')} |`)
}

console.log('| point | seeds | mIoU | things | oracle | seconds a run |\n| --- | --- | --- | --- | --- | --- |')
for (const label of new Set(points.map((point) => point.label))) {
  const own = rows.filter((row) => runsOf(label).includes(row.run))
  line(
    label,
    own.filter((row) => !isVoc(row)),
  )
  if (own.some(isVoc)) line(`${label}, VOC protocol`, own.filter(isVoc))
}
