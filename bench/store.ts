import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { configHash } from '../lib/config/hash.ts'
import { loadConfig } from '../lib/config/load.ts'
import { encodeEvent, type LoggedEvent } from '../lib/core/events.ts'
import { createRun } from '../lib/run/folder.ts'
import { compareRuns } from '../lib/store/compare.ts'
import { ingestAll } from '../lib/store/ingest.ts'
import { leaderboard } from '../lib/store/leaderboard.ts'
import { openStore } from '../lib/store/open.ts'
import { listRuns, seriesOf } from '../lib/store/runs.ts'
import { refresh } from '../lib/store/status.ts'

/**
 * The store with many runs: `npx tsx bench/store.ts [--runs 500] [--steps 1000] [--metrics 20] [--keep DIR] [--json]`.
 * Writes the logs of runs that nobody trained, reads them in, and asks what the commands and the screen ask. With `--keep` the
 * home stays, for bench/screen.ts.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '500' },
    steps: { type: 'string', default: '1000' },
    metrics: { type: 'string', default: '20' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const [runs, steps, metrics] = [values.runs, values.steps, values.metrics].map(Number)
const home = values.keep ?? mkdtempSync(join(tmpdir(), 'gvx-bench-store-'))
if (existsSync(join(home, 'runs'))) throw new Error(`${home} holds runs already`)
try {
  for (let i = 0; i < runs; i++) writeRun(i)
  const store = openStore(home)
  const results: Record<string, number> = { runs, points: runs * steps * metrics }
  const ingestMs = timed(() => ingestAll(store, (_dir, error) => fail(error)), 1)
  results['ingest rows/s'] = Math.round((results.points / ingestMs) * 1000)
  store.db.pragma('wal_checkpoint(TRUNCATE)')
  results['database MB'] = Math.round(statSync(store.file).size / 1e6)
  results['nothing new, ms'] = timed(() => refresh(store, (_dir, error) => fail(error)))
  results['leaderboard ms'] = timed(() => leaderboard(store))
  const columns = ['run', 'label', 'status', 'step', 'voc.mIoU', 'train/metric0', 'model.stages']
  results['runs with a filter and a sort, ms'] = timed(() =>
    listRuns(store, { columns, where: 'model.stages=2 and voc.mIoU>0.3', sort: ['-voc.mIoU'] }),
  )
  results['compare five runs, ms'] = timed(() => compareRuns(store, [1, 2, 3, 4, 5]))
  results['the same without intervals, ms'] = timed(() => compareRuns(store, [1, 2, 3, 4, 5], { bootstrap: false }))
  results['one curve of all its points, ms'] = timed(() => seriesOf(store, 3, 'train/metric3'))
  store.close()
  if (values.json) console.log(JSON.stringify(results))
  else
    for (const [name, value] of Object.entries(results))
      console.log(`${name.padEnd(36)}${Number(value.toPrecision(4))}`)
} finally {
  if (!values.keep) rmSync(home, { recursive: true, force: true })
}

/** Best of several, in ms. */
function timed(work: () => unknown, times = 5): number {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < times; i++) {
    const begin = performance.now()
    work()
    best = Math.min(best, performance.now() - begin)
  }
  return best
}

function fail(error: unknown): never {
  throw error
}

function writeRun(i: number): void {
  const stages = 1 + (i % 2)
  const { config } = loadConfig(null, {
    sets: [`seed=${i}`, `model.stages=${stages}`, `train.batchSize=${64 + Math.floor(i / 5)}`],
  })
  const { dir } = createRun(home, {
    name: `point${Math.floor(i / 5)}`,
    label: `point${Math.floor(i / 5)}`,
    kind: 'train',
    configHash: configHash(config),
    seed: i,
    sweep: 'bench',
    point: `point${i}`,
    argv: [],
    cwd: home,
    git: { commit: null, dirty: false },
    versions: {},
    config,
  })
  const lines: string[] = []
  const emit = (event: Omit<LoggedEvent, 't'>) =>
    lines.push(encodeEvent({ ...event, t: 1e12 + lines.length } as LoggedEvent))
  emit({
    type: 'run.started',
    attempt: 1,
    resumedFrom: 0,
    totalSteps: steps,
    host: 'h',
    pid: 1,
    pidStarted: null,
    backend: 'native',
    device: 'CPU',
    threads: 2,
    git: { commit: null, dirty: false },
    versions: {},
  } as never)
  for (let step = 1; step <= steps; step++)
    emit({
      type: 'metric',
      step,
      values: Object.fromEntries(
        Array.from({ length: metrics }, (_, m) => [`train/metric${m}`, Math.sin(step * (m + 1)) + i]),
      ),
    } as never)
  const iou = Array.from({ length: 21 }, (_, c) => ((i * 7 + c) % 100) / 100)
  const counts = Array.from({ length: 200 }, (_, k) => ({
    id: `image${k}`,
    counts: [0, 1, 2].map((c) => [c, 100 + k, 200, 300]),
  }))
  mkdirSync(join(dir, 'evals'), { recursive: true })
  writeFileSync(join(dir, 'evals/final.json'), JSON.stringify(counts))
  emit({
    type: 'eval.finished',
    step: steps,
    dataset: 'voc',
    purpose: 'final',
    protocol: { split: 'val' },
    images: 200,
    seconds: 1,
    values: { mIoU: iou[0] },
    classNames: iou.map(String),
    iou,
    baselines: { chance: 0.03 },
    counts: 'evals/final.json',
  } as never)
  emit({ type: 'run.finished', step: steps, status: 'finished', error: null } as never)
  writeFileSync(join(dir, 'events.1.jsonl'), `${lines.join('\n')}\n`)
  writeFileSync(
    join(dir, 'attempt.1'),
    JSON.stringify({ attempt: 1, process: { host: 'h', boot: null, pid: 1, ticks: 1 }, claimed: 1 }),
  )
}
