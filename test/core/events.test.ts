import { expect, test } from 'vitest'
import { decodeEvent, encodeEvent, type LoggedEvent } from '../../lib/core/events.ts'

test('numbers that are not finite survive the log', () => {
  const event: LoggedEvent = {
    t: 1,
    type: 'metric',
    step: 3,
    values: { 'train/loss': Number.NaN, up: Infinity, down: -Infinity, zero: 0 },
  }
  const line = encodeEvent(event)
  expect(line).not.toContain('\n')
  expect(decodeEvent(line)).toEqual(event)
})

test('an event of a later version is ignored, a torn line throws', () => {
  expect(decodeEvent('{"type":"run.sang","t":1}')).toBeNull()
  expect(() => decodeEvent('{"type":"metric","st')).toThrow()
})
