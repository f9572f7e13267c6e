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
