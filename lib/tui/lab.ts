import type { Observe } from '../core/updates.ts'
import type { Canvas } from '../eval/canvas.ts'
import type { ColourDepth } from './ansi.ts'
import type { Screen } from './keys.ts'
import { isLive, type Row, rowsOf } from './pace.ts'
import { EMPTY_STATE, reduce } from './reducer.ts'
import { visibleRows } from './rows.ts'
import type { Scene } from './screens/scene.ts'
import type { SystemState } from './system.ts'
import { type Intent, pressKey, START_VIEW, selectedRow } from './view.ts'

/**
 * What stands between the stream of updates, the keys and the drawing: keeps the state and the view, and says when to draw.
 * Keys are drawn at once, what happens within `FRAME_MS`, and where only numbers move, one frame in two seconds: every other would be paid
 * by the trainings that it shows.
 */
export type Lab = {
  observe: Observe
  press(key: string): void
  scene(): Scene
  resize(size: { width: number; height: number }): void
  /** Clock, machine and worker log; called about once a second. Where numbers come, it adds no frames to theirs. */
  tick(): void
  notice(text: string): void
  onChange(draw: () => void): () => void
}

export type LabOptions = {
  width: number
  height: number
  depth: ColourDepth
  now: () => number
  readSystem: (pids: readonly number[]) => SystemState
  readLog: (run: string) => readonly string[]
  readPicture: (run: string, file: string) => Promise<Canvas | null>
  intend: (intent: Exclude<Intent, { type: 'notice' }>) => void
}

const FRAME_MS = 250
const NUMBERS_MS = 2000
/** What comes together, a poll of several logs, is drawn together. */
const TOGETHER_MS = 30
/** A log that is looked at once a second is a little late or early: what comes when a frame is almost due is drawn, and a frame waits for it. */
const SLACK_MS = 100
const NOTICE_MS = 4000

/** Screens that show what no update tells: every tick draws them. */
const OUTSIDE: ReadonlySet<Screen> = new Set(['system', 'logs', 'segments'])

export function createLab(options: LabOptions): Lab {
  const { now } = options
  let state = EMPTY_STATE
  let view = START_VIEW
  let typed = ''
  let size = { width: options.width, height: options.height }
  let system: SystemState | null = null
  let workerLog: readonly string[] = []
  let pictures: Scene['pictures'] = []
  let notice: { text: string; until: number } | null = null
  let drawing: { timer: NodeJS.Timeout; due: number } | null = null
  let drawn = -Infinity
  let known = new Map<string, Canvas>()
  const reading = new Set<string>()
  const listeners = new Set<() => void>()
  const draw = () => {
    if (drawing !== null) clearTimeout(drawing.timer)
    drawing = null
    drawn = performance.now()
    for (const listener of listeners) listener()
  }
  const drawAt = (due: number) => {
    if (drawing !== null && drawing.due <= due) return
    if (drawing !== null) clearTimeout(drawing.timer)
    drawing = { timer: setTimeout(draw, due - performance.now()), due }
  }
  const drawSoon = () => drawAt(performance.now() + FRAME_MS)
  const drawNumbers = () => {
    if (OUTSIDE.has(view.screen)) return
    const time = performance.now()
    const due = drawn + NUMBERS_MS
    drawAt(time >= due - SLACK_MS ? time + TOGETHER_MS : due + SLACK_MS)
  }
  const rows = (): Row[] => rowsOf(state)
  const selectedRun = (): string | null => selectedRow(visibleRows(rows(), view), view.selected)?.runName ?? null

  function readOutside(): void {
    if (view.screen === 'system') {
      const pids = rows().flatMap(({ run, status }) => (run !== null && isLive(status) && run.pid > 0 ? [run.pid] : []))
      system = options.readSystem(pids)
    }
    const run = selectedRun()
    pictures = view.screen === 'segments' && run !== null ? readPictures(run) : []
    workerLog = view.screen === 'logs' && run !== null ? options.readLog(run) : []
  }

  /** Latest of each sample; a picture that was read before is not read again. */
  function readPictures(run: string): Scene['pictures'] {
    const latest = new Map((state.runs.get(run)?.samples ?? []).map((s) => [s.sample, s]))
    const kept = new Map<string, Canvas>()
    const read = [...latest.values()].flatMap(({ sample, step, file }) => {
      const key = `${run}/${file}`
      const canvas = known.get(key)
      if (canvas === undefined) {
        fetchPicture(key, run, file)
        return []
      }
      kept.set(key, canvas)
      return [{ sample, step, canvas }]
    })
    known = kept
    return read
  }

  function fetchPicture(key: string, run: string, file: string): void {
    if (reading.has(key)) return
    reading.add(key)
    options.readPicture(run, file).then((canvas) => {
      reading.delete(key)
      if (canvas === null) return
      known.set(key, canvas)
      readOutside()
      drawSoon()
    })
  }

  return {
    observe(update) {
      state = reduce(state, update)
      if (
        update.type === 'run.events' &&
        update.events.every(({ type }) => type === 'metric' || type === 'run.heartbeat')
      )
        drawNumbers()
      else drawSoon()
    },
    press(key) {
      const all = rows()
      const visible = visibleRows(all, view)
      const busy =
        state.done === null &&
        (state.preparing !== null || all.some(({ status }) => isLive(status) || status === 'queued'))
      const before = view
      const step = pressKey(view, typed, key, { rows: visible, busy, page: Math.max(1, size.height - 6) })
      view = step.view
      typed = step.typed
      if (step.intent?.type === 'notice') notice = { text: step.intent.text, until: now() + NOTICE_MS }
      else if (step.intent !== null) options.intend(step.intent)
      if (view.screen !== before.screen || view.selected !== before.selected) readOutside()
      draw()
    },
    scene() {
      const all = rows()
      const visible = visibleRows(all, view)
      const told = notice !== null && notice.until > now() ? notice.text : null
      const { depth } = options
      return {
        state,
        view,
        typed,
        rows: all,
        visible,
        ...size,
        now: now(),
        colour: depth > 1,
        depth,
        pictures,
        notice: told,
        system,
        workerLog,
      }
    },
    resize(next) {
      size = next
      draw()
    },
    tick() {
      readOutside()
      if (OUTSIDE.has(view.screen)) draw()
      else drawAt(Math.max(performance.now(), drawn + NUMBERS_MS + SLACK_MS))
    },
    notice(text) {
      notice = { text, until: now() + NOTICE_MS }
      draw()
    },
    onChange(listener) {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
        if (listeners.size > 0 || drawing === null) return
        clearTimeout(drawing.timer)
        drawing = null
      }
    },
  }
}
