import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { createSystemReader } from '../../lib/tui/system.ts'

test.skipIf(process.platform !== 'linux')('a disk is as full as df says', () => {
  const { disk } = createSystemReader('/', () => 0)([])
  const percent = Number(/(\d+)%/.exec(execFileSync('df', ['--output=pcent', '/'], { encoding: 'utf8' }))![1])
  expect(Math.abs(100 * (1 - disk!.free / disk!.total) - percent)).toBeLessThanOrEqual(2)
})
