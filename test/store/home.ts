import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { configHash } from '../../lib/config/hash.ts'
import { loadConfig } from '../../lib/config/load.ts'
import { encodeEvent, type LoggedEvent, type RunEvent } from '../../lib/core/events.ts'
import { createRun } from '../../lib/run/folder.ts'

/** Runs as a sweep would leave them: their folders and logs, without anything that trained. */

export const T0 = Date.UTC(2026, 10, 24, 9, 0, 0)

/** A home that is gone after the test, or after all tests of a file with `afterAll`. */
export function emptyHome(later: (clean: () => void) => void = onTestFinished): string {
  const home = mkdtempSync(join(tmpdir(), 'gvx-home-'))
  later(() => rmSync(home, { recursive: true, force: true }))
  return home
}

export type FakeRun = { label?: string; seed?: number; sweep?: string; sets?: string[] }

/** A run folder without a log; returns its directory. */
export function fakeRun(
  home: string,
  { label = 'one-stage', seed = 0, sweep = 'stages', sets = [] }: FakeRun = {},
): string {
  const { config } = loadConfig(null, { sets: [`seed=${seed}`, `name=${label}`, 'train.steps=100', ...sets] })
  return createRun(home, {
    name: label,
    kind: 'train',
    configHash: configHash(config),
    seed,
    sweep,
    point: `${label}/seed=${seed}`,
    label,
    argv: ['gvx', 'sweep', 'ablations/stages.yaml'],
    cwd: home,
    git: { commit: '0123456789abcdef0123456789abcdef01234567', dirty: false },
    versions: { gvx: '0.1.0' },
    config,
  }).dir
}

export const line = (event: RunEvent, t = T0): string => `${encodeEvent({ ...event, t } as LoggedEvent)}\n`

export const started = (attempt = 1, resumedFrom = 0): RunEvent => ({
  type: 'run.started',
  attempt,
  resumedFrom,
  totalSteps: 100,
  host: 'somewhere-else',
  pid: 1,
  pidStarted: null,
  backend: 'wasm',
  device: 'CPU',
  threads: 2,
  git: { commit: null, dirty: false },
  versions: { gvx: '0.1.0' },
})

export const PROTOCOL = { dataset: 'voc', split: 'val', fingerprint: 'abc', shortSide: 128 }
const CLASSES = ['circle', 'star', 'grass']

export const evaluated = (
  step: number,
  mIoU: number,
  purpose: 'during' | 'final' = 'during',
  protocol: Record<string, string | number> = PROTOCOL,
): RunEvent => ({
  type: 'eval.finished',
  step,
  dataset: 'voc',
  purpose,
  protocol,
  images: 4,
  seconds: 1.5,
  values: { mIoU, aAcc: 0.5 },
  classNames: CLASSES,
  iou: [mIoU, Number.NaN, mIoU],
  baselines: { chance: 0.03, majority: 0.1, untrained: 0.033 },
  counts: purpose === 'final' ? 'evals/final.json' : null,
})

/** An attempt by a machine that cannot be asked. */
export function claim(dir: string, attempt = 1): void {
  const elsewhere = { host: 'somewhere-else', boot: 'b', pid: 1, ticks: 1 }
  writeFileSync(join(dir, `attempt.${attempt}`), JSON.stringify({ attempt, process: elsewhere, claimed: T0 }))
}

/** A finished run of 100 steps whose loss falls to `loss` and whose final result is `mIoU`. */
export function finishedRun(
  home: string,
  run: FakeRun & { mIoU: number; protocol?: Record<string, string | number> },
): string {
  const dir = fakeRun(home, run)
  const { mIoU } = run
  let text = line(started())
  for (let step = 10; step <= 100; step += 10)
    text += line(
      { type: 'metric', step, values: { 'train/loss': 8 - mIoU * 0.05 * step, 'optim/learningRate': 1e-3 } },
      T0 + step * 1000,
    )
  text += line(evaluated(50, mIoU / 2), T0 + 51_000) + line(evaluated(100, mIoU), T0 + 101_000)
  text += line(
    { type: 'checkpoint.saved', step: 100, file: 'checkpoints/step-00000100', bytes: 1000, best: true },
    T0 + 102_000,
  )
  text += line({ type: 'warning', step: 20, code: 'bad-sample', message: 'a corrupt \x1b[31mJPEG' }, T0 + 20_500)
  text += line(evaluated(100, mIoU, 'final', run.protocol), T0 + 103_000)
  text += line({ type: 'run.finished', step: 100, status: 'finished', error: null }, T0 + 104_000)
  mkdirSync(join(dir, 'evals'), { recursive: true })
  const good = Number.isFinite(mIoU) ? Math.round(mIoU * 100) : 0
  const counts = [0, 1, 2, 3].map((i) => ({
    id: `image${i}`,
    counts: [
      [0, good + i, 100, 100],
      [2, good, 100, 100 + i],
    ],
  }))
  writeFileSync(join(dir, 'evals/final.json'), JSON.stringify(counts))
  claim(dir)
  writeFileSync(join(dir, 'events.1.jsonl'), text)
  return dir
}

/** Two configurations with two seeds each, one that diverged, one still at work elsewhere. */
export function stagesHome(later?: (clean: () => void) => void): string {
  const home = emptyHome(later)
  finishedRun(home, { label: 'one-stage', seed: 0, mIoU: 0.44, sets: ['model.stages=1'] })
  finishedRun(home, { label: 'one-stage', seed: 1, mIoU: 0.48, sets: ['model.stages=1'] })
  finishedRun(home, { label: 'two-stage', seed: 0, mIoU: 0.31 })
  finishedRun(home, { label: 'two-stage', seed: 1, mIoU: 0.29 })
  finishedRun(home, { label: 'soft', seed: 0, mIoU: Number.NaN, sets: ['model.assignment.mode=soft'] })
  const dir = fakeRun(home, { label: 'soft', seed: 1, sets: ['model.assignment.mode=soft'] })
  writeFileSync(
    join(dir, 'events.1.jsonl'),
    line(started()) + line({ type: 'metric', step: 10, values: { 'train/loss': 7 } }),
  )
  claim(dir)
  return home
}
