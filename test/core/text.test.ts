import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, remaining } from '../../lib/core/durations.ts'
import { plural, printable } from '../../lib/core/text.ts'

test('no text can move the cursor, recolour the screen or turn the reading direction', () => {
  const active = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      if (active.test(printable(text))) throw new Error(`active: ${JSON.stringify(text)}`)
    }),
  )
  expect(printable('\x1b]52;c;cm0=\x07a\tb')).toBe('\\u001b]52;c;cm0=\\u0007a b')
  expect(printable('ein Stern ★')).toBe('ein Stern ★')
})

test('durations read as people say them', () => {
  expect([900, 12_000, 185_000, 3_725_000, Number.NaN].map(formatDuration)).toEqual([
    '1 s',
    '12 s',
    '3 min 05 s',
    '1 h 02 min',
    '–',
  ])
  expect(remaining(1000, 1, 4)).toBe(3000)
  expect(remaining(1000, 0, 4)).toBeNaN()
  expect([plural(1, 'run'), plural(2, 'run')]).toEqual(['1 run', '2 runs'])
})
