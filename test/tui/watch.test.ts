import { fileURLToPath } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import { gvx } from '../cli/gvx.ts'
import { stagesHome } from '../store/home.ts'
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
  const compared = (await session.until('all runs; space on the board')).join('\n')
  expect(compared).toMatch(/point +seed +step +loss +mIoU % +model\.stages/)
  expect(compared).toMatch(/run1 +one-stage .*44\.0 +1 .*\n.*run3 +two-stage .*31\.0 +2 /)
  const quiet = vi.waitUntil(() => false, { timeout: 6000 }).catch(() => 'open')
  expect(await Promise.race([session.exited, quiet])).toBe('open')
  session.type('q')
  expect(await session.exited).toMatchObject({ exitCode: 0 })
})

test('plain lines about runs that have ended come to an end by themselves', async () => {
  const { code, stdout } = await gvx(['watch', 'run1', 'run2', '--plain'], { home: stagesHome() })
  expect(code).toBe(0)
  expect(stdout).toMatch(/run1 one-stage\/seed=0 finished/)
  expect(stdout).toMatch(/done: 2 finished, 0 failed/)
})
