import { spawn } from 'node:child_process'
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import type { RunEvent } from '../../lib/core/events.ts'
import { ingestRun } from '../../lib/store/ingest.ts'
import { openStore, type Store } from '../../lib/store/open.ts'
import { seriesOf, summariesOf } from '../../lib/store/runs.ts'
import { emptyHome, evaluated, fakeRun, line, started, T0 } from './home.ts'

/** Everything the tables say, without the numbers that only say in which order rows came. */
function dump(store: Store): Record<string, unknown[]> {
  const all = (sql: string) => store.db.prepare(sql).all()
  return {
    runs: all('SELECT * FROM runs'),
    attempts: all('SELECT * FROM attempts ORDER BY run, attempt'),
    offsets: all('SELECT * FROM offsets ORDER BY run, attempt'),
    metrics: all(
      'SELECT m.run, n.name, step, attempt, kind, value FROM metrics m JOIN metric_names n ON n.id = m.name ORDER BY 1, 2, 3',
    ),
    steps: all('SELECT * FROM steps ORDER BY run, step'),
    summaries: all('SELECT n.name AS metric, s.* FROM summaries s JOIN metric_names n ON n.id = s.name ORDER BY 1').map(
      (row) => ({
        ...(row as object),
        name: null,
      }),
    ),
    evaluations: all(
      `SELECT run, attempt, step, dataset, purpose, hash, t, iou FROM evaluations e JOIN protocols p ON p.id = e.protocol ORDER BY step, purpose`,
    ),
    values: all(
      'SELECT step, purpose, name, v.kind, value FROM eval_values v JOIN evaluations e ON e.id = v.evaluation ORDER BY 1, 2, 3',
    ),
    checkpoints: all('SELECT * FROM checkpoints ORDER BY step'),
    samples: all('SELECT * FROM samples ORDER BY step'),
    warnings: all('SELECT attempt, step, t, code, message FROM warnings ORDER BY attempt, step, t, message'),
  }
}

function storeOf(home: string): Store {
  const store = openStore(home)
  onTestFinished(() => store.close())
  return store
}

const everything = (store: Store, dir: string) => {
  while (ingestRun(store, dir).more);
}

const number = fc.oneof(
  { weight: 6, arbitrary: fc.double({ noNaN: true, min: -1e6, max: 1e6 }) },
  fc.constantFrom(Number.NaN, Infinity, -Infinity),
)
const steps = fc.integer({ min: 1, max: 12 })
const event: fc.Arbitrary<RunEvent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('metric' as const),
      step: steps,
      values: fc.dictionary(fc.constantFrom('train/loss', 'optim/gradNorm', 'eval/voc/mIoU'), number, { minKeys: 1 }),
    }),
  },
  fc.tuple(steps, fc.double({ min: 0, max: 1, noNaN: true })).map(([step, mIoU]) => evaluated(step, mIoU)),
  steps.map(
    (step): RunEvent => ({
      type: 'checkpoint.saved',
      step,
      file: `checkpoints/${step}`,
      bytes: 10,
      best: step % 2 === 0,
    }),
  ),
  steps.map((step): RunEvent => ({ type: 'sample.segmented', step, sample: 'a', file: `${step}.png` })),
  steps.map((step): RunEvent => ({ type: 'warning', step, code: 'bad-sample', message: 'é 漢字 🦆' })),
  steps.map((step): RunEvent => ({ type: 'run.heartbeat', step })),
)
const attempt = fc.record({
  resumedFrom: fc.integer({ min: 0, max: 8 }),
  events: fc.array(event, { maxLength: 14 }),
  ending: fc.constantFrom(null, 'stopped' as const, 'failed' as const),
})
const attempts = fc.array(attempt, { minLength: 1, maxLength: 3 })

type Attempt = typeof attempt extends fc.Arbitrary<infer T> ? T : never

const logText = ({ resumedFrom, events, ending }: Attempt, i: number): string =>
  [
    started(i + 1, i === 0 ? 0 : resumedFrom),
    ...events,
    ...(ending ? [{ type: 'run.finished', step: 12, status: ending, error: null } as RunEvent] : []),
  ]
    .map((e, k) => line(e, T0 + i * 1000 + k))
    .join('')

const stepOf = (e: RunEvent): number => (e.type === 'run.started' ? e.resumedFrom : e.step)

/** What the log means, told a second time and as plainly as possible. */
function meaning(logs: Attempt[]): Map<string, number> {
  const points = new Map<string, number>()
  logs.forEach(({ resumedFrom, events }, i) => {
    for (const key of points.keys()) if (Number(key.split(' ')[1]) > (i === 0 ? 0 : resumedFrom)) points.delete(key)
    for (const e of events) {
      const values =
        e.type === 'metric'
          ? e.values
          : e.type === 'eval.finished'
            ? { 'eval/voc/mIoU': e.values.mIoU, 'eval/voc/aAcc': e.values.aAcc }
            : {}
      for (const [name, value] of Object.entries(values)) points.set(`${name} ${stepOf(e)}`, value)
    }
  })
  return points
}

test('any cutting of the logs, in any order of the attempts, gives the database of the whole', {
  timeout: 180_000,
}, () => {
  fc.assert(
    fc.property(
      attempts,
      fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 400 })), { maxLength: 25 }),
      (logs, cuts) => {
        const [homeA, homeB] = [emptyHome(), emptyHome()]
        const texts = logs.map((log, i) => Buffer.from(logText(log, i)))
        const dirs = [homeA, homeB].map((home) => fakeRun(home))
        // The two folders differ in the moment of their making only.
        writeFileSync(join(dirs[1], 'run.json'), readFileSync(join(dirs[0], 'run.json')))
        const [whole, pieces] = [openStore(homeA), openStore(homeB)]
        try {
          texts.forEach((text, i) => {
            writeFileSync(join(dirs[0], `events.${i + 1}.jsonl`), text)
          })
          everything(whole, dirs[0])

          const given = texts.map(() => 0)
          const give = (i: number, bytes: number) => {
            appendFileSync(join(dirs[1], `events.${i + 1}.jsonl`), texts[i].subarray(given[i], given[i] + bytes))
            given[i] += bytes
          }
          for (const [i, bytes] of cuts) {
            give(i % texts.length, bytes)
            ingestRun(pieces, dirs[1])
            ingestRun(pieces, dirs[1])
          }
          texts.forEach((text, i) => {
            give(i, text.length)
          })
          everything(pieces, dirs[1])
          expect(dump(pieces)).toEqual(dump(whole))

          const said = new Map(
            (dump(whole).metrics as { name: string; step: number; value: number | null; kind: number }[]).map((m) => [
              `${m.name} ${m.step}`,
              m.kind === 0 ? m.value : [Number.NaN, Infinity, -Infinity][m.kind - 1],
            ]),
          )
          expect(new Map([...said].sort())).toEqual(new Map([...meaning(logs)].sort()))
        } finally {
          whole.close()
          pieces.close()
          for (const home of [homeA, homeB]) rmSync(home, { recursive: true, force: true })
        }
      },
    ),
    { numRuns: 25 },
  )
})

test('a summary is what its points say, also when they come out of order', () => {
  const home = emptyHome()
  const dir = fakeRun(home)
  const store = storeOf(home)
  const add = (step: number, loss: number) =>
    appendFileSync(join(dir, 'events.1.jsonl'), line({ type: 'metric', step, values: { 'train/loss': loss } }))
  writeFileSync(join(dir, 'events.1.jsonl'), line(started()))
  for (const [step, loss] of [
    [1, 5],
    [2, Number.NaN],
    [4, 3],
    [3, 9],
  ] as const) {
    add(step, loss)
    ingestRun(store, dir)
  }
  expect(summariesOf(store, 1)).toEqual([
    {
      name: 'train/loss',
      count: 4,
      nonFinite: 1,
      first: 5,
      firstStep: 1,
      last: 3,
      lastStep: 4,
      min: 3,
      minStep: 4,
      max: 9,
      maxStep: 3,
    },
  ])
  expect(seriesOf(store, 1, 'train/loss')).toMatchObject({ steps: [1, 2, 3, 4], values: [5, Number.NaN, 9, 3] })
})

test('resuming supersedes what came after the checkpoint and keeps what came before', () => {
  const home = emptyHome()
  const dir = fakeRun(home)
  const store = storeOf(home)
  const metric = (step: number, loss: number) => line({ type: 'metric', step, values: { 'train/loss': loss } })
  writeFileSync(
    join(dir, 'events.1.jsonl'),
    line(started()) + [1, 2, 3, 4].map((s) => metric(s, s)).join('') + line(evaluated(4, 0.9)),
  )
  ingestRun(store, dir)
  writeFileSync(join(dir, 'events.2.jsonl'), line(started(2, 2)) + metric(3, 30))
  ingestRun(store, dir)
  expect(seriesOf(store, 1, 'train/loss')).toMatchObject({ steps: [1, 2, 3], values: [1, 2, 30] })
  expect(summariesOf(store, 1).map((s) => [s.name, s.max, s.maxStep])).toEqual([['train/loss', 30, 3]])
  // The first process lives a moment longer than it should and speaks of a step that is not its own any more.
  appendFileSync(join(dir, 'events.1.jsonl'), metric(5, 5))
  ingestRun(store, dir)
  expect(seriesOf(store, 1, 'train/loss').steps).toEqual([1, 2, 3])
})

test('a torn last line is not there yet, a damaged one is counted and passed over', () => {
  const home = emptyHome()
  const dir = fakeRun(home)
  const store = storeOf(home)
  const log = join(dir, 'events.1.jsonl')
  const second = line({ type: 'metric', step: 2, values: { 'train/loss': 2 } })
  writeFileSync(log, `${line(started())}not JSON\n${second.slice(0, 20)}`)
  ingestRun(store, dir)
  expect(store.db.prepare('SELECT damaged FROM runs').pluck().get()).toBe(1)
  expect(seriesOf(store, 1, 'train/loss').steps).toEqual([])
  appendFileSync(log, second.slice(20))
  ingestRun(store, dir)
  expect(seriesOf(store, 1, 'train/loss').steps).toEqual([2])
})

test('a folder that was put back to an older state is read anew', () => {
  const home = emptyHome()
  const dir = fakeRun(home)
  const store = storeOf(home)
  const log = join(dir, 'events.1.jsonl')
  const first = line(started()) + line({ type: 'metric', step: 1, values: { 'train/loss': 1 } })
  writeFileSync(log, first + line({ type: 'metric', step: 2, values: { 'train/loss': 2 } }))
  ingestRun(store, dir)
  truncateSync(log, first.length)
  ingestRun(store, dir)
  expect(seriesOf(store, 1, 'train/loss').steps).toEqual([1])
})

test('an evaluation made after the run is found in its file, once', () => {
  const home = emptyHome()
  const dir = fakeRun(home)
  const store = storeOf(home)
  writeFileSync(join(dir, 'events.1.jsonl'), line(started()))
  writeFileSync(join(dir, 'evals/later.event.json'), line(evaluated(7, 0.5, 'final')))
  expect(ingestRun(store, dir).events).toBe(2)
  expect(ingestRun(store, dir).events).toBe(0)
  expect(store.db.prepare('SELECT step, purpose FROM evaluations').all()).toEqual([{ step: 7, purpose: 'final' }])
  expect(store.db.prepare('SELECT attempts FROM runs').pluck().get()).toBe(1)
})

test('kill -9 at any moment of ingesting leaves a database that a later ingest completes', {
  timeout: 180_000,
}, async () => {
  const home = emptyHome()
  const dir = fakeRun(home)
  const metrics = Array.from({ length: 4000 }, (_, i) =>
    line({ type: 'metric', step: i + 1, values: { a: i, b: -i, c: i % 7 } }),
  )
  writeFileSync(join(dir, 'events.1.jsonl'), line(started()) + metrics.join(''))
  const script = new URL('./ingest-slowly.ts', import.meta.url).pathname
  let killed = 0
  for (let n = 0; n < 3; n++) {
    const child = spawn(process.execPath, ['--import', 'tsx', script, home, dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise((done) => child.on('exit', done))
    // Killed in the middle of its n-th batch after the first: it says `.` before each.
    let dots = 0
    child.stdout.on('data', (text: Buffer) => {
      dots += text.length
      if (dots > n * 3 + 1 && child.kill('SIGKILL')) killed++
    })
    await ended
  }
  expect(killed).toBeGreaterThan(0)
  const store = storeOf(home)
  everything(store, dir)
  expect(summariesOf(store, 1).map((s) => [s.name, s.count, s.min, s.max])).toEqual([
    ['a', 4000, 0, 3999],
    ['b', 4000, -3999, 0],
    ['c', 4000, 0, 6],
  ])
})
