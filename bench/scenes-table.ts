import { execFileSync, spawnSync } from 'node:child_process'

/**
 * The results of docs/scenes.md, as Markdown: `npx tsx bench/scenes-table.ts [HOME]`. Trains ablations/scenes.yaml below HOME (runs
 * that are there are not trained again), evaluates the easy tier's runs once more with background by threshold, which is
 * chosen on the validation split, and prints the table. Medians and ranges over the seeds; test split, %.
 */

const home = process.argv[2] ?? '.'
const VOC = 'builtin:scenes#voc'

type Row = { point: string; run: string; seconds: number; protocol: string; name: string; value: number }

const gvx = (...args: string[]) => ['bin/gvx.js', ...args, '--home', home]

function show(...args: string[]): void {
  const { status } = spawnSync(process.execPath, gvx(...args, '--plain'), { stdio: ['ignore', 2, 2] })
  if (status !== 0) process.exit(status ?? 1)
}

function query(sql: string): Record<string, string | number>[] {
  const out = execFileSync(process.execPath, gvx('sql', sql, '--json'), { encoding: 'utf8', maxBuffer: 1 << 26 })
  const { columns, rows } = JSON.parse(out) as { columns: string[]; rows: (string | number)[][] }
  return rows.map((row) => Object.fromEntries(columns.map((column, i) => [column, row[i]])))
}

const finals = (): Row[] =>
  query(
    `SELECT r.point, r.run, r.seconds, e.protocol_json AS protocol, e.name, e.value
     FROM v_evaluations e JOIN v_runs r USING (number)
     WHERE e.newest_final AND r.sweep LIKE 'scenes%' AND r.status = 'finished' ORDER BY r.number`,
  ).map((row) => ({ ...row, point: String(row.point).split('/')[0] })) as Row[]

const percent = (value: number): string => (100 * value).toFixed(1)

function medianOf(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `43.1 (40.2–45.0)`; one value stands alone. */
function summary(values: number[]): string {
  if (values.length === 0) return '–'
  const median = percent(medianOf(values))
  return values.length === 1 ? median : `${median} (${percent(Math.min(...values))}–${percent(Math.max(...values))})`
}

show('sweep', 'ablations/scenes.yaml')
const easy = [...new Set(finals().flatMap(({ point, run }) => (point === 'easy' ? [run] : [])))]
show('eval', ...easy, '--voc', VOC, '--background-threshold', 'auto', '--weights', 'last')

const rows = finals()
const isVoc = ({ protocol }: Row) => JSON.parse(protocol).backgroundThreshold !== null
const line = (title: string, own: Row[]): void => {
  const values = (name: string) => own.filter((row) => row.name === name).map((row) => row.value)
  const seconds = new Map(own.map((row) => [row.run, row.seconds]))
  const cells = ['mIoU', 'mIoUThings', 'oracleIoU'].map((name) => summary(values(name)))
  console.log(`| ${[title, seconds.size, ...cells, medianOf([...seconds.values()]).toFixed(0)].join(' | ')} |`)
}

console.log('| point | seeds | mIoU | things | oracle | seconds a run |\n| --- | --- | --- | --- | --- | --- |')
for (const point of new Set(rows.map((row) => row.point))) {
  const own = rows.filter((row) => row.point === point)
  line(
    point,
    own.filter((row) => !isVoc(row)),
  )
  if (own.some(isVoc)) line(`${point}, VOC protocol`, own.filter(isVoc))
}
