import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { livenessOf, startedAt, thisProcess } from '../../lib/run/process.ts'

test('this process is alive, and started before now', () => {
  const me = thisProcess()
  expect(livenessOf(me)).toBe('alive')
  const started = startedAt(me)!
  expect(Math.abs(Date.now() / 1000 - started - process.uptime())).toBeLessThan(3)
})

test('a pid that belongs to another process by now is gone', () => {
  const me = thisProcess()
  expect(livenessOf({ ...me, ticks: me.ticks! - 1 })).toBe('gone')
})

test('a process of an earlier boot is gone', () => {
  expect(livenessOf({ ...thisProcess(), boot: 'another' })).toBe('gone')
})

test('a process on another machine is unknown', () => {
  expect(livenessOf({ ...thisProcess(), host: 'elsewhere' })).toBe('unknown')
})

test('a killed process is gone', async () => {
  const child = spawn('sleep', ['60'])
  await once(child, 'spawn')
  const id = { ...thisProcess(), pid: child.pid!, ticks: null }
  expect(livenessOf(id)).toBe('alive')
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(livenessOf(id)).toBe('gone')
})
