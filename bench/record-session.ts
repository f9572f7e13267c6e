import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { listSweeps } from '../lib/sweep/record.ts'
import { openTerminal } from '../test/tui/pty.ts'
import { terminalSvg } from './terminal-svg.ts'

/**
 * Records a session for the documentation: a shell in a real pseudo-terminal in which a sweep is started, left, watched and compared.
 *
 *     npx tsx bench/record-session.ts HOME FILE [gvx sweep options]
 *     npx tsx bench/record-session.ts lab ablations/stages.yaml -j 2
 *
 * GVX_RECORD_TO names another folder than docs/, to try it. Writes docs/session.cast (asciinema v2: `asciinema play docs/session.cast`) and the pictures docs/pictures/session-*.svg and run.svg. In a home
 * where the sweep has points left, they are trained: the beginning is recorded, the long middle waited for and left out. In one
 * where all have finished, the same without the beginning. Training is real, so it takes as long as the sweep does.
 */
const SIZE = { columns: 110, rows: 34 }
/** No pause of the recording is longer, in seconds. */
const LONGEST_PAUSE = 1.5
/** Milliseconds that data and training may take until there is something to see. */
const LONG = 1_200_000
const ROOT = resolve(import.meta.dirname, '..')

const docs = resolve(ROOT, process.env.GVX_RECORD_TO ?? 'docs')

const [home, file, ...options] = process.argv.slice(2)
if (!home || !file) throw new Error('usage: record-session.ts HOME FILE [gvx sweep options]')
const bin = mkdtempSync(join(tmpdir(), 'gvx-bin-'))
symlinkSync(join(ROOT, 'bin/gvx.js'), join(bin, 'gvx'))
const session = openTerminal('bash', ['--norc', '--noprofile'], {
  ...SIZE,
  env: { PS1: '$ ', GVX_HOME: resolve(home), PATH: `${bin}${delimiter}${process.env.PATH}`, HISTFILE: '' },
})

/** Events of the cast; between `pause` and `go on` nothing is recorded and no time passes. */
const events: [seconds: number, text: string][] = []
let clock = 0
let last = performance.now()
let recording = true
/** While training is waited for, the recording runs so many times as fast. */
let haste = 1
session.listen((text) => {
  const now = performance.now()
  if (recording) {
    clock += Math.min(LONGEST_PAUSE, (now - last) / 1000 / haste)
    events.push([clock, text])
  }
  last = now
})

mkdirSync(join(docs, 'pictures'), { recursive: true })
try {
  await prompt()
  const left = pointsLeft()
  await enter(`gvx sweep ${[file, ...options].join(' ')}`)
  if (left > 0) {
    haste = 10
    await session.until(/● running/, LONG)
    await session.until(/checkpoint at step/, LONG)
    haste = 1
    await look({ seconds: 4, picture: 'session-board' })
    await look({ key: '2', seconds: 3, picture: 'session-run' })
    await look({ key: '1' })
    await look({ key: '?', seconds: 2 })
    await look({ key: '\u001b' })
    await look({ key: 'q', until: 'leave how?', seconds: 2, picture: 'session-leave' })
    session.type('d')
    await session.until('goes on in the background')
    await prompt()
    await look({ seconds: 2 })
    await enter('gvx watch')
    haste = 10
    await session.until(/[2-9] running|1 running[\s\S]*finished/, LONG)
    haste = 1
    await look({ seconds: 3 })
    await look({ key: '3', seconds: 4 })
    await look({ key: 'q' })
    session.type('d')
    await prompt()
    recording = false
    while (somebodyIsAtWork()) await sleep(2000)
    recording = true
  }
  await prompt()
  const runs = runNames()
  await enter(`gvx watch ${runs.join(' ')}`)
  await look({ until: /ended|done/, seconds: 3, picture: 'session-watch' })
  await look({ key: '2', seconds: 3, picture: 'run' }) // the one in the README
  await look({ key: '3', until: 'all runs', seconds: 3, picture: 'session-compare' })
  await look({ key: '4', seconds: 3, picture: 'session-leaderboard' })
  await look({ key: '7', until: /next image|no samples/, seconds: 3, picture: 'session-segments' })
  await look({ key: 'q' })
  await prompt()
  await enter('clear; gvx leaderboard')
  await prompt()
  await look({ seconds: 2 })
  await enter(`clear; gvx compare ${runs[0]} ${runs.at(-1)} | head -30`)
  await prompt()
  await look({ seconds: 3, picture: 'session-commands' })
  session.type('exit\r')
  await session.exited
} finally {
  rmSync(bin, { recursive: true, force: true })
  session.kill('SIGKILL')
}
const header = {
  version: 2,
  width: SIZE.columns,
  height: SIZE.rows,
  title: `gvx sweep ${file}`,
  env: { TERM: 'xterm-256color', SHELL: 'bash' },
}
const lines = [header, ...events.map(([seconds, text]) => [Number(seconds.toFixed(3)), 'o', text])]
writeFileSync(join(docs, 'session.cast'), `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
console.log(`${join(docs, 'session.cast')}: ${events.length} events, ${clock.toFixed(0)} s`)

/**
 * A moment of the recording: a key of the screen and what it changes, or `until` something is there; so many seconds to look at it;
 * and the picture of it.
 */
async function look(moment: {
  key?: string
  until?: string | RegExp
  seconds?: number
  picture?: string
}): Promise<void> {
  const { key, until, seconds = 0, picture } = moment
  const before = session.frame().join('\n')
  if (key !== undefined) session.type(key)
  if (key !== undefined || until !== undefined) await session.until(until ?? ((frame) => frame !== before))
  await sleep(1000 * seconds)
  if (picture !== undefined) writeFileSync(join(docs, `pictures/${picture}.svg`), terminalSvg(session))
}

/** Types a command as a person would. */
async function enter(command: string): Promise<void> {
  for (const character of command) {
    session.type(character)
    await sleep(25)
  }
  await sleep(400)
  session.type('\r')
}

/** Waits until the shell asks for a command. */
async function prompt(): Promise<void> {
  await session.until((frame) => frame.trimEnd().endsWith('$'))
}

function gvx(...args: string[]): string {
  return execFileSync(process.execPath, [join(ROOT, 'bin/gvx.js'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, GVX_HOME: resolve(home) },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

/** Points of the sweep that are not done yet. */
function pointsLeft(): number {
  const { points } = JSON.parse(gvx('sweep', file, ...options, '-n', '--json'))
  return points.filter(({ action }: { action: string }) => action !== 'skip').length
}

/** The runs of the sweep that was started last in this home, in the order of its points. */
function runNames(): string[] {
  const [newest] = listSweeps(resolve(home)).sort((a, b) => b.updated - a.updated)
  return newest.points.flatMap(({ run }) => run ?? [])
}

/** Waits until what is running has ended; false when nothing was. Files may be edited meanwhile, so the plan is not asked. */
function somebodyIsAtWork(): boolean {
  try {
    gvx('watch', '--plain')
    return true
  } catch {
    return false // exit code 4
  }
}
