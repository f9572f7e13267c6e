import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import type { PlannedPoint } from '../../lib/core/updates.ts'
import { recordSweep } from '../../lib/sweep/record.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import { gvx } from '../cli/gvx.ts'
import { fakeRun, stagesHome } from '../store/home.ts'
import { openSession, type Session } from './pty.ts'

const GVX = fileURLToPath(new URL('../../bin/gvx.js', import.meta.url))

// a process starts within a second, unless the machine has much else to do
vi.setConfig({ testTimeout: 90_000 })

let session: Session
afterEach(() => session?.kill('SIGKILL'))

test('a screen that was opened on runs that have ended shows what differs between them, and stays until it is left', async () => {
  const home = stagesHome()
  session = openSession(GVX, ['watch', 'run1', 'run3', '--home', home], { columns: 120, rows: 40 })
  await session.until(/one-stage.*finished[\s\S]*two-stage.*finished/)
  session.type('3')
  const compared = (await session.until('all runs; space marks some')).join('\n')
  expect(compared).toMatch(/point +seed +step +loss +mIoU % +model\.stages/)
  expect(compared).toMatch(/run1 +one-stage .*44\.0 +1 .*\n.*run3 +two-stage .*31\.0 +2 /)
  const quiet = vi.waitUntil(() => false, { timeout: 6000 }).catch(() => 'open')
  expect(await Promise.race([session.exited, quiet])).toBe('open')
  session.type('q')
  expect(await session.exited).toMatchObject({ exitCode: 0 })
})

test('between two runs of a sweep, when the next has no worker yet, there is something to watch', async () => {
  const home = stagesHome()
  fakeRun(home, { label: 'next', seed: 3 })
  session = openSession(GVX, ['watch', '--home', home], { columns: 80, rows: 24 })
  await session.until(/next +3 .*queued/)
  session.type('q')
  await session.until('leave how?')
  session.type('d')
  expect(await session.exited).toMatchObject({ exitCode: 0 })
})

test('runs of one sweep are shown under its question, with the values that its file sets', async () => {
  const home = stagesHome()
  const file = join(home, 'mine.yaml')
  writeFileSync(file, 'question: Which of the two?\nbase: scenes.yaml\npoints: { a: { model.stages: 1 } }\n')
  writeFileSync(join(home, 'scenes.yaml'), '')
  const points = [1, 3].map(
    (n): PlannedPoint => ({
      key: `point${n}`,
      label: `point${n}`,
      seed: 0,
      overrides: { 'model.stages': n },
      configHash: '',
      totalSteps: 100,
      action: 'skip',
      reason: '',
      run: `run${n}`,
    }),
  )
  recordSweep(home, loadSweep(file), { points, fileKeys: null })
  session = openSession(GVX, ['watch', '1', '3', '--home', home], { columns: 120, rows: 40 })
  await session.until('Which of the two?')
  session.type('3')
  expect((await session.until(/all runs;/)).join('\n')).toMatch(/run3 .*31\.0 +3 *\n/)
})

test('plain lines about runs that have ended come to an end by themselves', async () => {
  const { code, stdout } = await gvx(['watch', 'run1', 'run2', '--plain'], { home: stagesHome() })
  expect(code).toBe(0)
  expect(stdout).toMatch(/run1 one-stage\/seed=0 finished/)
  expect(stdout).toMatch(/done: 2 finished, 0 failed/)
})
