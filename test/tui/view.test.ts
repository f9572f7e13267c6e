import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { RunStatus } from '../../lib/core/updates.ts'
import { KEYS } from '../../lib/tui/keys.ts'
import { type Intent, pressKey, START_VIEW, selectedRow, type View } from '../../lib/tui/view.ts'

const ROWS = ['a', 'b', 'c'].map((id) => ({
  id,
  runName: id === 'c' ? null : `run-${id}`,
  status: 'queued' as RunStatus,
}))

function press(keys: string, busy = true): { view: View; intents: Intent[]; typed: string } {
  let view = START_VIEW
  let typed = ''
  const intents: Intent[] = []
  for (const key of keys.split(' ')) {
    const step = pressKey(view, typed, key, { rows: ROWS, busy, page: 10 })
    view = step.view
    typed = step.typed
    if (step.intent !== null) intents.push(step.intent)
  }
  return { view, intents, typed }
}

test('j and k move and stop at the ends', () => {
  expect(press('j').view.selected).toBe('b')
  expect(press('j j j j').view.selected).toBe('c')
  expect(press('j k k').view.selected).toBe('a')
})

test('until somebody chooses, the first row at work is the selected one', () => {
  const rows = ROWS.map((row) => ({ ...row, status: row.id === 'b' ? ('running' as const) : row.status }))
  expect(selectedRow(rows, null)?.id).toBe('b')
  expect(selectedRow(rows, 'c')?.id).toBe('c')
  expect(selectedRow(ROWS, null)?.id).toBe('a')
  expect(selectedRow([], null)).toBeNull()
})

test('q asks when something runs, and says how it was left', () => {
  expect(press('q').view.dialog).toEqual({ type: 'quit' })
  expect(press('q d').intents).toEqual([{ type: 'leave', outcome: 'detach' }])
  expect(press('q s').intents).toEqual([{ type: 'leave', outcome: 'stop' }])
  expect(press('q c').intents).toEqual([{ type: 'leave', outcome: 'cancel' }])
  expect(press('q esc').view.dialog).toBeNull()
  expect(press('q', false).intents).toEqual([{ type: 'leave', outcome: 'done' }])
})

test('Ctrl-C stops gently from wherever one is', () => {
  for (const before of ['j', 'q', '/ x', '?', 'X'])
    expect(press(`${before} ctrl-c`).intents).toEqual([{ type: 'leave', outcome: 'stop' }])
})

test('X and R ask before they do anything', () => {
  expect(press('X').intents).toEqual([])
  expect(press('X n').intents).toEqual([])
  expect(press('X y').intents).toEqual([{ type: 'stop', run: 'run-a' }])
  expect(press('j R y').intents).toEqual([{ type: 'retry', run: 'run-b' }])
  expect(press('j j X').intents).toEqual([{ type: 'notice', text: 'this point has no run yet' }])
})

test('the filter works while it is typed, and esc takes it away', () => {
  expect(press('/ t w o').view.filter).toBe('two')
  expect(press('/ t w backspace o enter').view).toMatchObject({ filter: 'to', dialog: null })
  expect(press('/ t esc').view).toMatchObject({ filter: '', dialog: null })
})

test('a tag and a note are typed for the selected run', () => {
  expect(press('t b e s t enter').intents).toEqual([{ type: 'tag', run: 'run-a', text: 'best' }])
  expect(press('j N h i space y o u enter').intents).toEqual([{ type: 'note', run: 'run-b', text: 'hi you' }])
})

test('the palette does what its first entry says', () => {
  expect(press(': l e a d e r enter').view.screen).toBe('leaderboard')
  expect(press(': n o s u c h t h i n g enter').view).toMatchObject({ screen: 'board', dialog: null })
})

test('charts change by their keys', () => {
  const { view } = press('enter y S x + left')
  expect(view).toMatchObject({ screen: 'run', logY: true, smoothing: 1, xAxis: 'time', zoom: 1, cursor: 0.98 })
})

test('no two bindings of a screen share a key', () => {
  for (const a of KEYS) {
    for (const b of KEYS) {
      const together = !a.screens || !b.screens || a.screens.some((screen) => b.screens!.includes(screen))
      if (a !== b && together) expect(a.keys.filter((key) => b.keys.includes(key))).toEqual([])
    }
  }
})

test('docs/screens.md has every key with its help', () => {
  const doc = readFileSync(new URL('../../docs/screens.md', import.meta.url), 'utf8')
  for (const { keys, help } of KEYS) expect(doc).toContain(`| ${keys.map((key) => `\`${key}\``).join(' ')} | ${help} |`)
})
