import { describe, expect, test } from 'vitest'
import type { LoggedEvent } from '../../lib/core/events.ts'
import type { Update } from '../../lib/core/updates.ts'
import { frameLines } from '../../lib/tui/frame.ts'
import { KEYS, SCREENS, type Screen } from '../../lib/tui/keys.ts'
import { lineWidth, plainText } from '../../lib/tui/lines.ts'
import { rowsOf } from '../../lib/tui/pace.ts'
import { EMPTY_STATE, reduce } from '../../lib/tui/reducer.ts'
import { visibleRows } from '../../lib/tui/rows.ts'
import type { Scene } from '../../lib/tui/screens/scene.ts'
import { START_VIEW, type View } from '../../lib/tui/view.ts'
import { evaluation, NOON, sweepUpdates } from './updates.ts'

const SYSTEM = {
  cores: [0.97, 0.4],
  load: [1.5, 1.2, 0.9],
  memory: { used: 3.2e9, total: 16e9 },
  disk: { path: '/home/ada/lab', free: 81e9, total: 250e9 },
  gpus: [
    { index: '0', name: 'NVIDIA H100 80GB', busy: 0.45, memory: { used: 9e9, total: 80e9 }, celsius: 56, watts: 310.2 },
    { index: '1', name: 'NVIDIA odd', busy: null, memory: null, celsius: null, watts: null },
  ],
  processes: [{ pid: 4002, cpu: 1.02, memory: 512e6 }],
}

function sceneOf(size: { width: number; height: number }, view: Partial<View> = {}, updates = sweepUpdates()): Scene {
  const state = updates.reduce(reduce, EMPTY_STATE)
  const full = { ...START_VIEW, ...view }
  const rows = rowsOf(state)
  const visible = visibleRows(rows, full)
  return {
    state,
    view: full,
    typed: '',
    rows,
    visible,
    ...size,
    now: NOON + 22_500,
    colour: true,
    notice: null,
    system: SYSTEM,
    workerLog: [],
    pictures: [],
    depth: 24,
  }
}
const frame = (scene: Scene): string =>
  `\n${frameLines(scene)
    .map((l) => plainText(l).trimEnd())
    .join('\n')}\n`

const SIZES = [
  { width: 40, height: 19 },
  { width: 60, height: 23 },
  { width: 80, height: 23 },
  { width: 120, height: 39 },
]

describe.each(SIZES)('at $width columns', (size) => {
  test.each(SCREENS)('the screen %s fits', (screen: Screen) => {
    const lines = frameLines(sceneOf(size, { screen, selected: 'two-stage/seed=0' }))
    expect(lines).toHaveLength(size.height)
    for (const line of lines) expect(lineWidth(line)).toBeLessThanOrEqual(size.width)
  })
  test('the system screen has a gauge for each thing that may run short', () => {
    const shown = frame(sceneOf(size, { screen: 'system' }))
    expect(shown).toMatch(/GPU 0 +[━╸·]+ +45 % {2}\S/)
    expect(shown).toMatch(/GPU 1 +NVIDIA odd/)
    for (const name of ['CPU', 'memory', 'disk']) expect(shown).toMatch(new RegExp(`${name} +[━╸·]+ +\\d+ %`))
    if (size.width >= 80)
      expect(shown).toMatch(/disk .*81.0 GB free[\s\S]*GPU 0.*56 °C · 310 W[\s\S]*memory .*9.0 GB of 80.0 GB/)
  })
  test('a long line of the log is read to its end', () => {
    expect(frame(sceneOf(size, { screen: 'logs', selected: 'two-stage/seed=0' }))).toMatch(
      /from step 200 on native[\s\S]*pid 4002\n/,
    )
  })
  test('the board, a run and the comparison look so', () => {
    for (const screen of ['board', 'run', 'compare'] as const) {
      expect(frame(sceneOf(size, { screen, selected: 'two-stage/seed=0' }))).toMatchSnapshot(screen)
    }
  })
  test('no text that came from outside reaches the terminal as a control', () => {
    const hostile = '\u001b[2J\u202eevil\u0007'
    const updates = [...sweepUpdates(), { type: 'message', level: 'error', text: hostile } as const]
    const session = updates[0].type === 'session' ? { ...updates[0], title: hostile, question: hostile } : updates[0]
    for (const screen of SCREENS) {
      const text = frame(sceneOf(size, { screen }, [session, ...updates.slice(1)]))
      expect(text.replaceAll('\n', '')).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/)
    }
  })
  test('before anything has happened there is a word on every screen', () => {
    for (const screen of SCREENS)
      expect(frame({ ...sceneOf(size, { screen }, []), system: null }).trim().length).toBeGreaterThan(40)
  })
})

test('the help names every key of the screen, over its pages', () => {
  for (const size of SIZES) {
    const pages = [0, 1, 2, 3]
      .map((page) => frame(sceneOf(size, { screen: 'run', dialog: { type: 'help', page } })))
      .join('\n')
    for (const binding of KEYS) {
      if (binding.screens === undefined || binding.screens.includes('run'))
        expect(pages).toContain(binding.keys.join(' '))
    }
  }
})

test('the question how to leave is read to its end on a narrow screen, too', () => {
  const words = (size: { width: number; height: number }) =>
    frame(sceneOf(size, { dialog: { type: 'quit' } })).replace(/\s+/g, ' ')
  for (const size of SIZES) expect(words(size)).toMatch(/d detach: the runs go on, gvx watch finds them again s stop/)
})

test('charts by time begin at 0 s, whatever was measured first, and by epoch where the run says it', () => {
  const eventsBefore = sweepUpdates()
  const early: LoggedEvent = { ...evaluation(0, NOON - 20_000, 0.01, 'during'), t: NOON - 20_000 }
  const first: Update[] = [{ type: 'run.events', run: 'run2', events: [early] }, ...eventsBefore]
  const axes = (xAxis: View['xAxis'], updates: readonly Update[]) =>
    frame(sceneOf(SIZES[3], { screen: 'run', selected: 'two-stage/seed=0', xAxis }, [...updates]))
  expect(axes('time', first)).toMatch(/\n +0 s {2,}.* s/)
  expect(axes('time', first)).not.toMatch(/\n +–/)
  expect(axes('epoch', first)).not.toMatch(/epoch \d/)
  const epoch: LoggedEvent = { type: 'metric', t: NOON + 21_000, step: 421, values: { 'train/epoch': 8.42 } }
  expect(axes('epoch', [...first, { type: 'run.events', run: 'run2', events: [epoch] }])).toMatch(
    /epoch 0.0 .* epoch 8.4/,
  )
})

test('the leaderboard gives the mean over seeds and what it has to be compared with', () => {
  const text = frame(sceneOf(SIZES[2], { screen: 'leaderboard' }))
  expect(text).toContain('43.1')
  expect(text).toContain('chance 3.0 · majority 8.2 · untrained 4.1')
  expect(text).toContain('~21.5')
})

test('the logs follow the end, search, and show only errors when asked', () => {
  const logs = (view: Partial<View>) =>
    frame(sceneOf(SIZES[2], { screen: 'logs', selected: 'one-stage/seed=1', ...view }))
  expect(logs({})).toContain('failed at step 120')
  expect(logs({ search: 'JPEG' })).not.toContain('failed at step 120')
  expect(logs({ errorsOnly: true })).not.toContain('started on native')
})

test('the segments of an image are drawn in half blocks, or in shades where there are no colours', () => {
  const canvas = { width: 40, height: 20, data: new Uint8Array(40 * 20 * 3).map((_, i) => (i * 7) % 256) }
  const scene = sceneOf(SIZES[2], { screen: 'segments', selected: 'two-stage/seed=0' })
  const drawn = frame({ ...scene, pictures: [{ sample: 'val-000001', step: 400, canvas }] })
  expect(drawn).toContain('run2 · val-000001 (1 of 1) · step 400')
  expect(drawn.match(/▀{40}/g)).toHaveLength(10)
  expect(frame({ ...scene, depth: 1, pictures: [{ sample: 'a', step: 0, canvas }] })).not.toContain('▀')
})
