import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { openSession, type Session } from './pty.ts'

const SHOW = fileURLToPath(new URL('./show.tsx', import.meta.url))
const SURVIVE = fileURLToPath(new URL('./survive.ts', import.meta.url))
const SCROLLED_BACK = 'what was on the terminal before'

// a process starts within a second, unless the machine has much else to do
vi.setConfig({ testTimeout: 90_000 })

let session: Session
const show = (columns: number, rows: number, ...flags: string[]) => {
  session = openSession(SHOW, flags, { columns, rows })
  return session
}
afterEach(() => session?.kill('SIGKILL'))

/** ESC[3J wipes the scrollback, ESC c resets the terminal, ESC[2J pushes or wipes where there is no alternate screen. */
function wipes(bytes: string): number {
  const outside = bytes.split(/\u001b\[\?1049h.*?(?:\u001b\[\?1049l|$)/s).join('')
  return (bytes.match(/\u001b\[3J|\u001bc/g) ?? []).length + (outside.match(/\u001b\[2J/g) ?? []).length
}

function expectRestored({ terminal, bytes }: Session): void {
  expect(terminal.buffer.active.type).toBe('normal')
  expect(bytes().lastIndexOf('\u001b[?25h')).toBeGreaterThan(bytes().lastIndexOf('\u001b[?25l'))
  expect(bytes().lastIndexOf('\u001b[?7h')).toBeGreaterThan(bytes().lastIndexOf('\u001b[?7l'))
  expect(bytes()).toContain('\u001b[?1049h')
  expect(wipes(bytes())).toBe(0)
}

describe.each([
  [60, 24],
  [80, 24],
  [120, 40],
])('at %i × %i', (columns, rows) => {
  test('the board, the charts, the help and the way out', async () => {
    const { until, type, frame, exited } = show(columns, rows)
    await until('? help')
    expect(frame().join('\n')).toMatchSnapshot('board')
    expect(frame().at(-1)).toBe('')
    type('kk')
    await until(/▸.*one-stage +1/)
    type('jj')
    await until(/▸.*two-stage/)
    type('\r')
    await until('learning rate')
    expect(frame().join('\n')).toMatchSnapshot('run')
    type('?')
    await until('any other key goes back')
    type('\u001b')
    await until('learning rate')
    type('q')
    await until('leave how?')
    type('d')
    expect(await exited).toMatchObject({ exitCode: 0 })
    expectRestored(session)
    expect(frame().join('\n')).toContain('left: detach')
  })
})

test('SIGTERM leaves the terminal as it was and ends the process by the signal', async () => {
  const { until, kill, exited } = show(80, 24, '--live')
  await until('? help')
  kill('SIGTERM')
  expect(await exited).toMatchObject({ signal: 15 })
  expectRestored(session)
})

test('a thrown error leaves the terminal as it was, with the error on it', async () => {
  const { until, exited, frame } = show(80, 24, '--throw')
  await until('? help')
  expect(await exited).toMatchObject({ exitCode: 1 })
  expectRestored(session)
  expect(frame().join('\n')).toContain('thrown on purpose')
})

test('Ctrl-C stops gently', async () => {
  const { until, type, exited, frame } = show(80, 24)
  await until('? help')
  type('\u0003')
  await exited
  expect(frame().join('\n')).toContain('left: stop')
  expectRestored(session)
})

test('a resize draws the screen anew, in cards when it is narrow, and wipes nothing', async () => {
  const { until, resize, type, exited, bytes } = show(120, 40)
  await until('? help')
  resize(40, 16)
  await until((frame) => frame.includes('1 board tab') && frame.includes('one-stage #1'))
  resize(100, 30)
  await until('7 segments')
  expect(wipes(bytes())).toBe(0)
  type('qd')
  await exited
  expectRestored(session)
})

test('what was on the terminal before is there again afterwards', async () => {
  const { until, type, exited, frame } = show(80, 24, '--greet')
  await until('? help')
  expect(frame().join('\n')).not.toContain(SCROLLED_BACK)
  type('qd')
  await exited
  expect(frame().join('\n')).toContain(SCROLLED_BACK)
})

test('NO_COLOR takes the colours and leaves the words', async () => {
  session = openSession(SHOW, [], { columns: 80, rows: 24, env: { NO_COLOR: '1' } })
  await session.until('? help')
  expect(session.bytes()).not.toMatch(/\u001b\[(3[0-7]|38;|9[0-7])/)
  expect(session.frame().join('\n')).toContain('✗ failed')
})

test('an order to a run is asked for, given and told', async () => {
  const { until, type } = show(80, 24)
  await until('? help')
  type('X')
  await until('stop run2 after the step in hand?')
  type('y')
  await until('stop run2: done')
})

test('after kill -9 of the screen the next program on the terminal puts it right', async () => {
  session = openSession(SURVIVE, [], { columns: 80, rows: 24 })
  await session.until('SIGKILL repaired')
  await session.exited
  expectRestored(session)
})
