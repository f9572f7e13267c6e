import { EventEmitter } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../core/errors.ts'
import type { Observe } from '../core/updates.ts'
import type { Canvas } from '../eval/canvas.ts'
import { type ColourDepth, encodeLine } from './ansi.ts'
import { wantsColour } from './can-show.ts'
import { frameLines } from './frame.ts'
import { guardTerminal, listenForSignals, suspend } from './guard.ts'
import { createLab, type Lab } from './lab.ts'
import { createSystemReader } from './system.ts'
import { openTerminal } from './terminal.ts'
import type { Intent, Outcome } from './view.ts'

export type ScreenActions = {
  /** Asks a run to finish its step, save and end. */
  stopRun?: (run: string) => Promise<void> | void
  /** Retries a failed run, resumes a stopped one. */
  retryRun?: (run: string) => Promise<void> | void
  tagRun?: (run: string, tag: string) => Promise<void> | void
  noteRun?: (run: string, note: string) => Promise<void> | void
  /** The last lines of what the worker of a run printed. */
  readLog?: (run: string) => readonly string[]
}

export type ScreenOptions = {
  /** Calls the listener for every update from the first; returns how to stop. */
  subscribe: (listener: Observe) => () => void
  actions?: ScreenActions
  /** Holds the runs, and is the folder whose disk the system screen shows. */
  home: string
  /** Closes the screen from outside, with `done`. */
  signal?: AbortSignal
  stdout?: NodeJS.WriteStream
  stdin?: NodeJS.ReadStream
  env?: NodeJS.ProcessEnv
  now?: () => number
}

const TICK_MS = 1000

/**
 * Shows the live screen until the person leaves it, and says how: the runs go on (`detach`), end after their step (`stop`), end at
 * once (`cancel`), or there was nothing left to decide (`done`, also on a signal). The terminal is left as it was found, whatever happens.
 */
export async function showScreen(options: ScreenOptions): Promise<Outcome> {
  const { stdout = process.stdout, stdin = process.stdin, env = process.env, now = Date.now, actions = {} } = options
  const terminal = openTerminal(stdout)
  const restore = guardTerminal(terminal, stdin)
  let leave: (outcome: Outcome) => void = () => {}
  let crash: (error: unknown) => void = () => {}
  const left = new Promise<Outcome>((resolve, reject) => {
    leave = resolve
    crash = reject
  })
  const depth = wantsColour(env) ? colourDepth(stdout, env) : 1
  const lab = createLab({
    width: stdout.columns || 80,
    height: Math.max(2, (stdout.rows || 24) - 1),
    depth,
    now,
    readSystem: createSystemReader(options.home, now),
    readLog: actions.readLog ?? (() => []),
    readPicture: (run, file) => readPicture(join(options.home, 'runs', run, file)),
    intend: (intent) => carryOut(intent, { actions, lab, leave, suspend: () => suspend(terminal, stdin, resize) }),
  })
  const resize = () => {
    terminal.invalidate()
    lab.resize({ width: stdout.columns || 80, height: Math.max(2, (stdout.rows || 24) - 1) })
  }
  const dispose = [
    restore,
    listenForSignals(() => leave('done'), terminal, stdin),
    catchConsole(lab),
    options.subscribe(lab.observe),
    every(TICK_MS, lab.tick),
    on(stdout, 'resize', resize),
  ]
  options.signal?.addEventListener('abort', () => leave('done'), { once: true })
  if (options.signal?.aborted) leave('done')
  try {
    // before the first frame: until then the terminal would echo what is typed into the middle of it
    if (stdin.isTTY) stdin.setRawMode(true)
    terminal.enter()
    const paint = () => {
      try {
        terminal.paint(frameLines(lab.scene()).map((l) => encodeLine(l, depth)))
      } catch (error) {
        crash(error)
      }
    }
    dispose.unshift(lab.onChange(paint))
    await new Promise(setImmediate) // whoever opened the screen now says what is known already
    paint()
    // Loading Ink would take half of the time to the first frame, which needs nothing of it; keys wait in the terminal meanwhile.
    const loaded = await Promise.race([left, loadInk().catch(crash)])
    if (typeof loaded === 'object') {
      const { render, Keyboard } = loaded
      const ink = render(<Keyboard press={lab.press} />, {
        stdout: silentTerminal(),
        stdin,
        debug: true, // it need not wait for its exit to draw, where CI is set
        exitOnCtrlC: false,
      })
      ink.waitUntilExit().then(() => leave('done'), crash)
      dispose.unshift(() => ink.unmount())
    }
    return await left
  } finally {
    for (const undo of dispose) undo()
  }
}

async function loadInk() {
  const [{ render }, { Keyboard }] = await Promise.all([import('ink'), import('./keyboard.tsx')])
  return { render, Keyboard }
}

type Doing = { actions: ScreenActions; lab: Lab; leave: (outcome: Outcome) => void; suspend: () => void }

function carryOut(intent: Exclude<Intent, { type: 'notice' }>, { actions, lab, leave, suspend }: Doing): void {
  const attempt = (what: string, action: (() => Promise<void> | void) | undefined) => {
    if (action === undefined) {
      lab.notice(`${what} is not possible here`)
      return
    }
    lab.notice(`${what} …`)
    // the promise's own chain, so that what throws at once and what rejects later are told alike
    Promise.resolve()
      .then(action)
      .then(
        () => lab.notice(`${what}: done`),
        (error: unknown) => lab.notice(`${what}: ${messageOf(error)}`),
      )
  }
  const { stopRun, retryRun, tagRun, noteRun } = actions
  if (intent.type === 'leave') leave(intent.outcome)
  else if (intent.type === 'stop') attempt(`stop ${intent.run}`, stopRun && (() => stopRun(intent.run)))
  else if (intent.type === 'retry') attempt(`retry ${intent.run}`, retryRun && (() => retryRun(intent.run)))
  else if (intent.type === 'tag') attempt(`tag ${intent.run}`, tagRun && (() => tagRun(intent.run, intent.text)))
  else if (intent.type === 'note') attempt(`note to ${intent.run}`, noteRun && (() => noteRun(intent.run, intent.text)))
  else suspend()
}

/** A picture that a worker wrote; null when it is gone or not whole yet. */
async function readPicture(file: string): Promise<Canvas | null> {
  try {
    const { decodeImage } = await import('../data/image.ts')
    return await decodeImage(await readFile(file))
  } catch {
    return null
  }
}

/** Node warns on the screen when NO_COLOR is set, even to nothing, beside FORCE_COLOR: it need not see it. */
const colourDepth = (stdout: NodeJS.WriteStream, env: NodeJS.ProcessEnv): ColourDepth =>
  stdout.getColorDepth({ ...env, NO_COLOR: undefined }) as ColourDepth

/** To Ink a terminal of the same size that swallows everything: the screen is painted past it. */
function silentTerminal(): NodeJS.WriteStream {
  const write = (_text: string, done?: () => void): boolean => {
    done?.()
    return true
  }
  return Object.assign(new EventEmitter(), {
    isTTY: true,
    columns: 80,
    rows: 24,
    write,
  }) as unknown as NodeJS.WriteStream
}

/** What other code prints would land in the middle of the screen: it becomes a message on it. */
function catchConsole(lab: Lab): () => void {
  const own = { log: console.log, info: console.info, warn: console.warn, error: console.error }
  const say =
    (level: 'info' | 'warning' | 'error') =>
    (...parts: unknown[]) =>
      lab.observe({ type: 'message', level, text: parts.map(String).join(' ') })
  Object.assign(console, { log: say('info'), info: say('info'), warn: say('warning'), error: say('error') })
  return () => {
    Object.assign(console, own)
  }
}

function every(ms: number, action: () => void): () => void {
  const timer = setInterval(action, ms)
  return () => clearInterval(timer)
}

function on(emitter: NodeJS.WriteStream, event: string, listener: () => void): () => void {
  emitter.on(event, listener)
  return () => {
    emitter.off(event, listener)
  }
}
