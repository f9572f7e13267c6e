import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLab } from '../../lib/tui/lab.ts'
import { eventsOf, sweepUpdates } from './updates.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A lab that shows the made-up sweep, and the milliseconds at which it has drawn since. */
function openLab() {
  const lab = createLab({
    width: 80,
    height: 24,
    depth: 1,
    now: Date.now,
    readSystem: () => ({
      cores: [],
      load: [0, 0, 0],
      memory: { used: 0, total: 1 },
      disk: null,
      gpus: [],
      processes: [],
    }),
    readLog: () => [],
    readPicture: async () => null,
    intend: () => {},
  })
  for (const update of sweepUpdates()) lab.observe(update)
  vi.advanceTimersByTime(3000)
  const begin = performance.now()
  const frames: number[] = []
  lab.onChange(() => frames.push(performance.now() - begin))
  const ticking = setInterval(lab.tick, 1000)
  return { lab, frames, stop: () => clearInterval(ticking) }
}
const metrics = { type: 'run.events' as const, run: 'run2', events: eventsOf(2, 500, 510).slice(1) }

test('while only numbers move there is a frame every two seconds', () => {
  const { lab, frames, stop } = openLab()
  const writing = setInterval(() => lab.observe(metrics), 100)
  vi.advanceTimersByTime(10_000)
  clearInterval(writing)
  stop()
  expect(frames.length).toBeGreaterThanOrEqual(4)
  expect(frames.length).toBeLessThanOrEqual(6)
})

test('of what comes once a second every second is drawn within a twentieth of one, and the clock adds no frames', () => {
  const { lab, frames, stop } = openLab()
  const came: number[] = []
  const begin = performance.now()
  const writing = setInterval(() => {
    came.push(performance.now() - begin)
    lab.observe(metrics)
  }, 1010)
  vi.advanceTimersByTime(8200)
  clearInterval(writing)
  stop()
  const fresh = came.filter((at) => frames.some((frame) => frame >= at && frame <= at + 50))
  expect(fresh).toEqual([3030, 5050, 7070])
  expect(frames.length).toBeLessThanOrEqual(fresh.length + 1)
})

test('a status, a message and a key do not wait that long', () => {
  const { lab, frames, stop } = openLab()
  lab.observe(metrics)
  vi.advanceTimersByTime(100)
  expect(frames).toHaveLength(1)
  lab.observe(metrics)
  lab.observe({ type: 'run.status', run: 'run2', status: 'failed', reason: 'x' })
  vi.advanceTimersByTime(260)
  expect(frames).toHaveLength(2)
  lab.press('j')
  expect(frames).toHaveLength(3)
  stop()
})

test('without any news the clock goes on', () => {
  const { frames, stop } = openLab()
  vi.advanceTimersByTime(5000)
  stop()
  expect(frames).toEqual([1001, 3101])
})
