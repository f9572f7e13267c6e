import { expect, test } from 'vitest'
import { createPlainPrinter } from '../../lib/tui/plain.ts'
import { eventsOf, NOON, sweepUpdates } from './updates.ts'

function printed(use: (printer: ReturnType<typeof createPlainPrinter>, advance: (ms: number) => void) => void): string {
  let now = NOON
  const lines: string[] = []
  const printer = createPlainPrinter({ write: (text) => lines.push(text), now: () => now })
  use(printer, (ms) => {
    now += ms
  })
  return lines.join('').replace(/^\d\d:\d\d:\d\d /gm, '')
}

test('the session reads as a log', () => {
  expect(printed(({ observe }) => sweepUpdates().forEach(observe))).toMatchSnapshot()
})

test('what a run said before somebody listened is not told as if it happened now, but what became of it is', () => {
  const text = printed(({ observe }) => {
    const [session] = sweepUpdates()
    observe(session)
    const finished = { type: 'run.finished', step: 9, status: 'finished', error: null, t: NOON - 60_000 } as const
    const warning = { type: 'warning', step: 8, code: 'data', message: 'an old one', t: NOON - 61_000 } as const
    const news = { ...warning, message: 'a new one', t: NOON + 5 }
    observe({ type: 'run.events', run: 'run1', events: [warning, finished] })
    observe({ type: 'run.status', run: 'run1', status: 'finished', reason: null })
    observe({ type: 'run.events', run: 'run2', events: [warning, news] })
  })
  expect(text).not.toContain('an old one')
  expect(text).toMatch(/^run1 .*finished/m)
  expect(text).toMatch(/^run2 .*a new one/m)
})

test('there is a line of progress every 30 s and no more', () => {
  const text = printed(({ observe, tick }, advance) => {
    sweepUpdates().forEach(observe)
    for (let second = 0; second < 100; second++) {
      advance(1000)
      tick()
    }
  })
  expect(text.match(/of all steps/g)).toHaveLength(3)
  expect(text).toMatch(/38 % of all steps · .* left · 1 running, 1 queued · run2 step 420\/1000 loss \d/)
})

test('no carriage return and no control of a caption gets through', () => {
  const text = printed(({ observe }) => {
    observe({ type: 'message', level: 'error', text: 'a\rb\u001b[2J' })
    observe({ type: 'run.events', run: 'run1', events: eventsOf(1, 0, 250) })
  })
  expect(text).toContain('error: a\\u000db\\u001b[2J\n')
  expect(text.replaceAll('\n', '')).not.toMatch(/[\x00-\x1f]/)
})
