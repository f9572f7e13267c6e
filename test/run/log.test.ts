import { appendFileSync, readFileSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test, vi } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { lastAttempt } from '../../lib/run/attempt.ts'
import { createRun } from '../../lib/run/folder.ts'
import { openEventLog, readEvents, startHeartbeat } from '../../lib/run/log.ts'
import { newRun, temporaryFolder } from './temporary.ts'

const metric = (step: number, loss = 1) => ({ type: 'metric' as const, step, values: { 'train/loss': loss } })
const steps = (events: { type: string; step?: number }[]) => events.map((event) => event.step)

test('what was emitted is read, numbers that are not finite included', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  const log = openEventLog(dir, { now: () => 5 })
  log.emit(metric(1, Number.NaN))
  log.emit(metric(2, -Infinity))
  expect(readEvents(dir).events).toEqual([
    { ...metric(1, Number.NaN), t: 5 },
    { ...metric(2, -Infinity), t: 5 },
  ])
  log.close()
})

test('a torn last line is not there yet, and comes whole when it is', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  openEventLog(dir).emit(metric(1))
  const path = join(dir, 'events.1.jsonl')
  const line = JSON.stringify({ ...metric(2), t: 1 })
  appendFileSync(path, line.slice(0, 20))
  const first = readEvents(dir)
  expect(steps(first.events)).toEqual([1])
  appendFileSync(path, `${line.slice(20)}\n`)
  expect(steps(readEvents(dir, first.offsets).events)).toEqual([2])
})

test('however a log is cut into reads, every event is read once and in order', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  const expected = Array.from({ length: 40 }, (_, i) => i + 1)
  writeFileSync(join(dir, 'events.1.jsonl'), expected.slice(0, 25).map(lineOf).join(''))
  writeFileSync(join(dir, 'events.2.jsonl'), expected.slice(25).map(lineOf).join(''))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 100, max: 700 }), { minLength: 1 }), (sizes) => {
      const all: (number | undefined)[] = []
      let read = readEvents(dir, {}, sizes[0])
      for (let i = 1; read.more; i++) {
        all.push(...steps(read.events))
        read = readEvents(dir, read.offsets, sizes[i % sizes.length])
      }
      expect([...all, ...steps(read.events)]).toEqual(expected)
    }),
    { numRuns: 30 },
  )
})

function lineOf(step: number): string {
  return `${JSON.stringify({ ...metric(step), t: step })}\n`
}

test('a whole line that is no JSON is counted and passed over', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  writeFileSync(join(dir, 'events.1.jsonl'), `${lineOf(1)}\0\0\0\n${lineOf(2)}`)
  const read = readEvents(dir)
  expect(steps(read.events)).toEqual([1, 2])
  expect(read.damaged).toBe(1)
})

test('a second process cannot work on a run that another works on', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  openEventLog(dir)
  expect(() => openEventLog(dir)).toThrow(/is being worked on by process/)
  expect(lastAttempt(dir)?.attempt).toBe(1)
})

test('a run on another machine is taken over only by force, and the older attempt sees it', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  const log = openEventLog(dir)
  const claim = join(dir, 'attempt.1')
  const there = JSON.parse(readFileSync(claim, 'utf8'))
  writeFileSync(claim, JSON.stringify({ ...there, process: { ...there.process, host: 'elsewhere' } }))
  expect(() => openEventLog(dir)).toThrow(UserError)
  expect(log.fenced()).toBe(false)
  expect(openEventLog(dir, { force: true }).attempt).toBe(2)
  expect(log.fenced()).toBe(true)
})

test('a run that said goodbye on another machine is free', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  openEventLog(dir).emit({ type: 'run.finished', step: 3, status: 'stopped', error: null })
  const claim = join(dir, 'attempt.1')
  const there = JSON.parse(readFileSync(claim, 'utf8'))
  writeFileSync(claim, JSON.stringify({ ...there, process: { ...there.process, host: 'elsewhere' } }))
  expect(openEventLog(dir).attempt).toBe(2)
})

test('on a full disk an event is an error sentence and the log stays whole', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  let room = 100
  const log = openEventLog(dir, {
    write: (fd, bytes, offset, length) => {
      const count = Math.min(length, room)
      room -= count
      return count === 0 ? 0 : writeSync(fd, bytes, offset, count)
    },
  })
  log.emit(metric(1))
  expect(() => log.emit(metric(2))).toThrow(/the disk is full/)
  room = 1000
  log.emit(metric(3))
  const read = readEvents(dir)
  expect(steps(read.events)).toEqual([1, 3])
  expect(read.damaged).toBe(0)
})

test('a log that became shorter than what was read gives nothing instead of failing', () => {
  const { dir } = createRun(temporaryFolder(), newRun())
  openEventLog(dir).emit(metric(1))
  const { offsets } = readEvents(dir)
  truncateSync(join(dir, 'events.1.jsonl'), 10)
  expect(readEvents(dir, offsets).events).toEqual([])
})

test('a worker says every 15 s that it lives, until it ends; a full disk does not end it', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const heard: unknown[] = []
  let full = false
  let step = 3
  const end = startHeartbeat(
    (event) => {
      if (full) throw new UserError('the disk is full')
      heard.push(event)
    },
    () => step,
  )
  vi.advanceTimersByTime(14_999)
  expect(heard).toEqual([])
  vi.advanceTimersByTime(1)
  expect(heard).toEqual([{ type: 'run.heartbeat', step: 3 }])
  full = true
  vi.advanceTimersByTime(15_000)
  full = false
  step = 4
  vi.advanceTimersByTime(15_000)
  expect(heard.at(-1)).toEqual({ type: 'run.heartbeat', step: 4 })
  end()
  vi.advanceTimersByTime(60_000)
  expect(heard).toHaveLength(2)
})
