import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import type { Update } from '../../lib/core/updates.ts'
import { briefRuns, differingValues } from '../../lib/store/brief.ts'
import { compareRuns } from '../../lib/store/compare.ts'
import { VIEWS } from '../../lib/store/export.ts'
import { leaderboard } from '../../lib/store/leaderboard.ts'
import { noteRun, removeRun, restoreRun, tagRun, untagRun } from '../../lib/store/marks.ts'
import { resolveRunName } from '../../lib/store/names.ts'
import { openReadonly, openStore, type Store } from '../../lib/store/open.ts'
import { getRun, listRuns, seriesOf } from '../../lib/store/runs.ts'
import { refresh } from '../../lib/store/status.ts'
import { backupDatabase, checkDatabase, query, rebuildDatabase } from '../../lib/store/upkeep.ts'
import { createWatcher } from '../../lib/store/watch.ts'
import { claim, emptyHome, fakeRun, finishedRun, line, PROTOCOL, stagesHome, started } from './home.ts'

function read(home: string): Store {
  const store = openStore(home)
  onTestFinished(() => store.close())
  refresh(store, (dir, error) => {
    throw new Error(`${dir}: ${error}`)
  })
  return store
}

const ids = (store: Store, where: string, sort?: string[]) =>
  listRuns(store, { where, sort, columns: ['number'] }).rows.map((row) => row.number)

test('a filter asks for columns, configuration, results, metrics and tags', () => {
  const store = read(stagesHome())
  tagRun(store, 2, 'good')
  expect(ids(store, 'status=finished and model.stages=1 and voc.mIoU>0.45')).toEqual([2])
  expect(ids(store, 'label=two-stage')).toEqual([4, 3])
  expect(ids(store, 'label~STAGE and not seed=0')).toEqual([4, 2])
  expect(ids(store, '(seed=1 or seed>5) and model.assignment.mode!=soft')).toEqual([4, 2])
  expect(ids(store, "tag='good'")).toEqual([2])
  expect(ids(store, 'tag!=good and status=finished')).toEqual([5, 4, 3, 1])
  expect(ids(store, 'train/loss<6')).toEqual([2, 1])
  expect(ids(store, 'train.loss:max>=7 and step=100', ['-voc.mIoU'])).toEqual([2, 1, 3, 4])
  expect(ids(store, 'created>2020-01-01')).toHaveLength(6)
})

test('a run that diverged matches no comparison, and comes last however it is sorted', () => {
  const store = read(stagesHome())
  for (const where of ['voc.mIoU>0', 'voc.mIoU<=1', 'voc.mIoU=0']) expect(ids(store, where)).not.toContain(5)
  for (const sort of ['voc.mIoU', '-voc.mIoU']) expect(ids(store, 'step=100', [sort]).at(-1)).toBe(5)
})

test.each([
  ['foo=1', /unknown field foo/],
  ['status', /expects one of/],
  ['status=', /expects a value/],
  ['(status=finished', /closing parenthesis/],
  ['status=finished seed=1', /ends too early/],
  ['seed>abc or', /expects a field|no number/],
  ['status="finished', /cannot be read/],
  ['status=finished; DROP TABLE runs', /ends too early|cannot/],
  ['(((((((((((((((((((((((((((((((((((((((((((((((((((seed=1)))', /deeply|closing/],
])('the filter %s is refused in a sentence', (where, message) => {
  const store = read(emptyHome())
  expect(() => listRuns(store, { where, columns: ['run'] })).toThrow(message)
})

test('values of a filter never become SQL', () => {
  const store = read(stagesHome())
  expect(ids(store, `name="x' OR 1=1 --"`)).toEqual([])
  expect(store.db.prepare('SELECT count(*) FROM runs').pluck().get()).toBe(6)
})

test('the leaderboard ranks means over seeds; what diverged has no rank; baselines stand below', () => {
  const [table] = leaderboard(read(stagesHome()))
  expect(table.rows.map((row) => [row.rank, row.name, row.n, row.kind])).toEqual([
    [1, 'one-stage', 2, 'config'],
    [2, 'two-stage', 2, 'config'],
    [null, 'soft', 1, 'config'],
    [null, 'majority', 1 * 5, 'baseline'],
    [null, 'untrained', 5, 'baseline'],
    [null, 'chance', 5, 'baseline'],
  ])
  expect(table.rows[0].mean).toBeCloseTo(0.46, 12)
  expect(table.rows[0].std).toBeCloseTo(Math.SQRT2 * 0.02, 12)
  expect(table.rows[1].delta).toBeCloseTo(-0.16, 12)
  expect(table.rows[2].mean).toBeNaN()
})

test('protocols are never mixed unless asked', () => {
  const home = stagesHome()
  finishedRun(home, {
    label: 'one-stage',
    seed: 2,
    mIoU: 0.9,
    sets: ['model.stages=1'],
    protocol: { ...PROTOCOL, shortSide: 448 },
  })
  const store = read(home)
  const tables = leaderboard(store)
  expect(tables.map((t) => t.rows.filter((row) => row.kind === 'config').map((row) => row.n))).toEqual([[1], [2, 2, 1]])
  expect(new Set(tables.map((t) => t.protocol)).size).toBe(2)
  expect(leaderboard(store, { mixed: true })).toHaveLength(1)
})

test('a seed that was trained again counts once, by its newest run; without that one, the earlier counts', () => {
  const home = stagesHome()
  finishedRun(home, { label: 'two-stage', seed: 1, mIoU: 0.35 })
  const store = read(home)
  const twoStage = () => leaderboard(store)[0].rows.find(({ name }) => name === 'two-stage')!
  expect(twoStage()).toMatchObject({ n: 2, values: [0.31, 0.35], runs: ['run3', 'run7'] })
  const viewed = "SELECT n, runs, mean FROM v_leaderboard WHERE metric = 'mIoU' AND name = 'two-stage'"
  expect(store.db.prepare(viewed).get()).toEqual({ n: 2, runs: 'run3 run7', mean: expect.closeTo(0.33, 9) })
  removeRun(store, 7, 5)
  expect(twoStage()).toMatchObject({ values: [0.31, 0.29], runs: ['run3', 'run4'] })
  expect(store.db.prepare(viewed).get()).toMatchObject({ runs: 'run3 run4' })
})

test('the view of the leaderboard says the same as the command', () => {
  const store = read(stagesHome())
  const rows = store.db
    .prepare("SELECT name, n, mean, std FROM v_leaderboard WHERE metric = 'mIoU' ORDER BY mean DESC NULLS LAST")
    .all() as { name: string; n: number; mean: number | null; std: number | null }[]
  const said = leaderboard(store)[0].rows.filter((row) => row.kind === 'config')
  expect(rows.map((row) => row.name)).toEqual(said.map((row) => row.name))
  rows.forEach((row, i) => {
    if (row.mean === null) expect(said[i].mean).toBeNaN()
    else {
      expect(row.mean).toBeCloseTo(said[i].mean, 12)
      expect(row.std).toBeCloseTo(said[i].std!, 12)
    }
  })
})

test('the IoU of each class and the baselines stand in views, of the newest final evaluation', () => {
  const store = read(stagesHome())
  const ask = (sql: string) => store.db.prepare(sql).all()
  expect(
    ask("SELECT position, class, iou FROM v_classes WHERE run = 'run1' AND newest_final ORDER BY position"),
  ).toEqual([
    { position: 0, class: 'circle', iou: 0.44 },
    { position: 1, class: 'star', iou: null },
    { position: 2, class: 'grass', iou: 0.44 },
  ])
  expect(ask("SELECT name, mIoU FROM v_baselines WHERE run = 'run1' AND newest_final ORDER BY name")).toEqual([
    { name: 'chance', mIoU: 0.03 },
    { name: 'majority', mIoU: 0.1 },
    { name: 'untrained', mIoU: 0.033 },
  ])
})

test('every view can be read, and says NaN by its kind', () => {
  const store = read(stagesHome())
  for (const view of VIEWS) expect(store.db.prepare(`SELECT count(*) FROM ${view}`).pluck().get()).toBeGreaterThan(0)
  expect(
    store.db.prepare("SELECT DISTINCT value, kind FROM v_metrics WHERE run = 'run5' AND name = 'eval/voc/mIoU'").all(),
  ).toEqual([{ value: null, kind: 'nan' }])
})

test('compare tells what differs, and an interval where both have counts under one protocol', () => {
  const store = read(stagesHome())
  const comparison = compareRuns(store, [1, 3])
  expect(comparison.config.map((row) => row.key)).toEqual([
    'model.depths',
    'model.numGroupTokens',
    'model.numOutputGroups',
    'model.stages',
  ])
  expect(comparison.results[0].evaluations.map((e) => e?.values.mIoU)).toEqual([0.44, 0.31])
  expect(comparison.intervals).toHaveLength(1)
  expect(comparison.intervals[0].difference).toBeLessThan(0)
  expect(comparison.metrics.find((m) => m.name === 'train/loss')?.runs.map((r) => r?.bestStep)).toEqual([100, 100])
})

test('configurations are compared over their seeds: all of one that is named once, the named ones otherwise', () => {
  const store = read(stagesHome())
  const [seeds] = compareRuns(store, [1, 3]).seeds
  expect(seeds.configurations.map(({ name, runs, values }) => [name, runs, values])).toEqual([
    ['one-stage', ['run1', 'run2'], [0.44, 0.48]],
    ['two-stage', ['run3', 'run4'], [0.31, 0.29]],
  ])
  expect(seeds.configurations[0].test).toBeNull()
  expect(seeds.configurations[0].mean).toBeCloseTo(0.46, 12)
  expect(seeds.configurations[0].std).toBeCloseTo(0.0283, 4)
  // As scipy.stats.ttest_ind(equal_var=False) has it.
  expect(seeds.configurations[1].test?.p).toBeCloseTo(0.04058, 5)
  expect(seeds.configurations[1].test?.interval[1]).toBeCloseTo(-0.02163, 5)
  expect(compareRuns(store, [1, 3, 4, 5]).seeds[0].configurations.map(({ runs }) => runs)).toEqual([
    ['run1', 'run2'],
    ['run3', 'run4'],
    ['run5'],
  ])
  expect(compareRuns(store, [1, 2]).seeds).toEqual([])
  removeRun(store, 2, 1)
  removeRun(store, 4, 1)
  expect(compareRuns(store, [1, 3]).seeds).toEqual([])
})

test('the leaderboard tests each configuration against the best', () => {
  const rows = leaderboard(read(stagesHome()))[0].rows
  expect(rows.map((row) => row.versusBest?.p.toFixed(4) ?? null).slice(0, 3)).toEqual([null, '0.0406', null])
  expect(rows[1].versusBest?.difference).toBeCloseTo(rows[1].delta!, 12)
})

test('at a step, and beside a run that is still at work, what was evaluated by then is compared', () => {
  const store = read(stagesHome())
  const early = compareRuns(store, [1, 3], { atStep: 60 })
  expect(early.results[0].evaluations.map((e) => [e?.purpose, e?.step, e?.values.mIoU])).toEqual([
    ['during', 50, 0.22],
    ['during', 50, 0.155],
  ])
  expect(early.classes[0].rows[0].iou).toEqual([0.22, 0.155])
  expect(early.intervals).toEqual([])
  expect(early.seeds).toEqual([])
  expect(compareRuns(store, [1, 3], { atStep: 20 }).results).toEqual([])
  const rate = compareRuns(store, [1, 3]).metrics.find((m) => m.name === 'optim/learningRate')
  expect(rate?.runs[0]).toMatchObject({ last: 1e-3, best: null, bestStep: null })
})

test('an interval of the difference stands beside each class', () => {
  const { classes } = compareRuns(read(stagesHome()), [1, 3]).intervals[0]
  expect(classes.map(({ name }) => name)).toEqual(['circle', 'star', 'grass'])
  expect(classes[0].interval[0]).toBeLessThanOrEqual(classes[0].difference)
  expect(classes[0].interval[1]).toBeGreaterThanOrEqual(classes[0].difference)
  expect(classes[1].difference).toBeNaN()
})

test('trim cuts the metrics to the steps that every run has done', () => {
  const comparison = compareRuns(read(stagesHome()), [1, 6], { trim: true })
  expect(comparison.upTo).toBe(10)
  expect(comparison.metrics.find((m) => m.name === 'train/loss')?.runs.map((r) => r?.lastStep)).toEqual([10, 10])
})

test('a run is named by its number, its place or a tag', () => {
  const store = read(stagesHome())
  tagRun(store, 3, 'x')
  expect(['run2', '2', '@last', '@best', 'tag:x'].map((name) => resolveRunName(store, name))).toEqual([2, 2, 6, 2, 3])
  for (const name of ['run99', 'tag:y', '@first', "1' OR '1", 'run2x'])
    expect(() => resolveRunName(store, name)).toThrow(UserError)
})

test('tags, notes and what was taken out survive a rebuilt database', () => {
  const home = stagesHome()
  const store = openStore(home)
  refresh(store, () => {})
  tagRun(store, 1, 'good')
  tagRun(store, 1, 'better')
  untagRun(store, 1, 'good')
  noteRun(store, 1, 'hot', 5)
  removeRun(store, 2, 5)
  removeRun(store, 3, 5)
  restoreRun(store, 3)
  const before = ids(store, 'seed>=0')
  store.close()
  for (const file of ['runs.db', 'runs.db-wal', 'runs.db-shm']) rmSync(join(home, file), { force: true })
  const again = read(home)
  expect(ids(again, 'seed>=0')).toEqual(before)
  expect(before).not.toContain(2)
  expect(getRun(again, 1)).toMatchObject({ tags: ['better'], notes: [{ t: 5, text: 'hot' }] })
})

test('a run on another machine stays running, one whose process is gone is lost', () => {
  const home = emptyHome()
  const here = fakeRun(home)
  writeFileSync(join(here, 'events.1.jsonl'), line(started()))
  writeFileSync(
    join(here, 'attempt.1'),
    JSON.stringify({ attempt: 1, process: { host: 'elsewhere', boot: null, pid: 1, ticks: 1 }, claimed: 0 }),
  )
  const gone = fakeRun(home, { seed: 1 })
  writeFileSync(join(gone, 'events.1.jsonl'), line(started()))
  writeFileSync(join(gone, 'attempt.1'), '')
  fakeRun(home, { seed: 2 })
  const store = read(home)
  expect([1, 2, 3].map((id) => getRun(store, id).status)).toEqual(['running', 'lost', 'queued'])
})

test('a run of another version, with keys that this one does not know, is read as it was written', () => {
  const home = emptyHome()
  const dir = finishedRun(home, { mIoU: 0.4 })
  appendFileSync(join(dir, 'config.yaml'), 'invented:\n  later: [1, 2]\n')
  const store = read(home)
  expect(getRun(store, 1)).toMatchObject({ totalSteps: 100, params: { 'invented.later': '[1,2]' } })
  expect(ids(store, 'invented.later=[1,2]')).toEqual([1])
})

test('a watcher tells what is new, once, and records all', () => {
  const home = emptyHome()
  const store = read(home)
  const updates: Update[] = []
  const watcher = createWatcher({ home, store, observe: (update) => updates.push(update) })
  watcher.poll()
  expect(updates).toEqual([])
  const dir = fakeRun(home)
  claim(dir)
  writeFileSync(join(dir, 'events.1.jsonl'), line(started()))
  watcher.poll()
  watcher.poll()
  expect(updates.map((u) => u.type)).toEqual(['run.attached', 'run.events', 'run.status'])
  appendFileSync(join(dir, 'events.1.jsonl'), line({ type: 'run.finished', step: 3, status: 'stopped', error: null }))
  watcher.poll()
  expect(updates.at(-1)).toEqual({ type: 'run.status', run: 'run1', status: 'stopped', reason: null })
  expect(getRun(store, 1).status).toBe('stopped')
})

test('what a run at work says is told at every look, and recorded with the next status or after seconds', () => {
  const home = emptyHome()
  const store = read(home)
  const told: Update[] = []
  const watcher = createWatcher({ home, store, observe: (update) => told.push(update) })
  const dir = fakeRun(home)
  claim(dir)
  const log = join(dir, 'events.1.jsonl')
  writeFileSync(log, line(started()))
  watcher.poll()
  appendFileSync(log, line({ type: 'metric', step: 7, values: { 'train/loss': 3 } }))
  watcher.poll()
  expect(told.at(-1)).toMatchObject({ type: 'run.events', events: [{ step: 7 }] })
  expect(seriesOf(store, 1, 'train/loss').steps).toEqual([])
  appendFileSync(log, line({ type: 'run.finished', step: 7, status: 'finished', error: null }))
  watcher.poll()
  expect(seriesOf(store, 1, 'train/loss')).toMatchObject({ steps: [7], values: [3] })
})

test('a watcher short of time looks at the runs at work first, and comes back for the others', () => {
  const home = stagesHome()
  const store = read(home)
  const told: string[] = []
  const watcher = createWatcher({
    home,
    store,
    budgetMs: 0,
    keyOf: ({ id }) => `my ${id}`,
    observe: (update) => told.push(update.type === 'run.attached' ? update.key : `${update.type}`),
  })
  expect(watcher.poll()).toBe(true)
  expect(told.splice(0)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `my run${n}`).concat('run.events', 'run.status'))
  expect(getRun(store, 6).status).toBe('running')
  let polls = 1
  while (watcher.poll()) polls += 1
  expect(polls).toBe(5)
  expect(told.filter((text) => text === 'run.status')).toHaveLength(5)
})

test('runs are told apart by the values that differ among them, the numbers before the lists', () => {
  const store = read(stagesHome())
  const values = differingValues(store, [1, 3, 4])
  expect(Object.keys(values.get(1)!)[0]).toBe('model.stages')
  expect([1, 3, 4].map((id) => values.get(id)!['model.stages'])).toEqual([1, 2, 2])
  expect(values.get(3)).toEqual(values.get(4))
  expect(Object.keys(values.get(4)!)).not.toContain('seed')
  removeRun(store, 2, 1)
  expect(briefRuns(store).map(({ run }) => run)).toEqual(['run1', 'run3', 'run4', 'run5', 'run6'])
  expect(briefRuns(store, { removed: true })[1]).toMatchObject({ run: 'run2', label: 'one-stage', totalSteps: 100 })
})

test('a database of a newer gvx is refused with exit code 7 and left alone', () => {
  const home = emptyHome()
  const db = new Database(join(home, 'runs.db'))
  db.pragma('user_version = 99')
  db.close()
  for (const open of [openStore, openReadonly]) {
    expect(() => open(home)).toThrow(/newer gvx \(schema 99/)
    try {
      open(home)
    } catch (error) {
      expect((error as UserError).exitCode).toBe(7)
    }
  }
})

test('what is no database is told in a sentence', () => {
  const home = emptyHome()
  writeFileSync(join(home, 'runs.db'), 'this is text'.repeat(1000))
  expect(() => openStore(home)).toThrow(/damaged or no database/)
})

test('the database is for its owner alone', () => {
  const store = read(stagesHome())
  for (const tail of ['', '-wal', '-shm']) expect(statSync(store.file + tail).mode & 0o777).toBe(0o600)
})

test('rebuilding keeps the old file and gives the same tables', () => {
  const home = stagesHome()
  const store = openStore(home)
  refresh(store, () => {})
  const rows = (s: Store) => s.db.prepare('SELECT * FROM v_metrics ORDER BY number, name, step').all()
  const before = rows(store)
  store.close()
  expect(rebuildDatabase(home, () => {})).toEqual({ runs: 6, kept: join(home, 'runs.db.old') })
  expect(rows(read(home))).toEqual(before)
  expect(checkDatabase(home).problems).toEqual([])
})

test('a check finds points without a run and summaries that lie', () => {
  const home = stagesHome()
  const store = read(home)
  store.db.exec(
    'UPDATE summaries SET count = count + 1 WHERE run = 1; INSERT INTO metrics VALUES (77, 1, 1, 1, 0, 1.0)',
  )
  expect(checkDatabase(home).problems).toEqual([
    '1 points belong to no run',
    expect.stringMatching(/^\d+ summaries do not fit their points$/),
  ])
})

test('a backup is a whole database, and never replaces a file', () => {
  const home = stagesHome()
  const store = read(home)
  mkdirSync(join(home, 'kept'))
  const file = join(home, 'kept/copy.db')
  backupDatabase(store, file)
  const copy = new Database(file, { readonly: true })
  expect(copy.prepare('SELECT count(*) FROM runs').pluck().get()).toBe(6)
  copy.close()
  expect(() => backupDatabase(store, file)).toThrow('exists already')
})

test('sql reads and never writes', () => {
  const home = stagesHome()
  read(home)
  expect(query(home, 'SELECT run FROM v_runs ORDER BY number', 2)).toEqual({
    columns: ['run'],
    rows: [['run1'], ['run2']],
    more: true,
  })
  expect(() => query(home, 'DELETE FROM runs', 10)).toThrow('only reads')
  expect(() => query(home, 'SELECT nonsense FROM v_runs', 10)).toThrow(/SQLite says: no such column/)
  expect(() => query(home, 'SELECT 1; DELETE FROM runs', 10)).toThrow(/SQLite says/)
})

test('docs/database.md names every column of every view', () => {
  const docs = readFileSync(new URL('../../docs/database.md', import.meta.url), 'utf8')
  const store = read(emptyHome())
  const views = store.db.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'").pluck().all() as string[]
  expect(views.sort()).toEqual([...VIEWS].sort())
  for (const view of views) {
    const row = docs.split('\n').find((text) => text.startsWith(`| \`${view}\` |`))
    const columns = store.db
      .prepare(`SELECT * FROM ${view}`)
      .columns()
      .map((column) => column.name)
    for (const column of columns) expect(row, `${view}.${column}`).toContain(`\`${column}\``)
  }
})
