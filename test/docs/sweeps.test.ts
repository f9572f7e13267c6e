import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { sweepJsonSchema } from '../../lib/sweep/spec.ts'

test('docs/sweeps.md has a row for each key of a sweep file', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../docs/sweeps.md'), 'utf8')
  const table = page.split('| key | |')[1].split('\n\n')[0]
  const rows = [...table.matchAll(/^\| `(\w+)` \|/gm)].map((row) => row[1])
  expect(rows).toEqual(Object.keys(sweepJsonSchema().properties ?? {}))
})
