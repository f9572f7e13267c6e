import { formatDuration } from '../core/durations.ts'
import { plural, printable } from '../core/text.ts'
import { formatShare, pad } from './format.ts'
import { helpOf, type KeyBinding, SCREENS, type Screen } from './keys.ts'
import { beside, EMPTY, type Line, line, lineWidth, type Span, span, spread, truncateLine, wrap } from './lines.ts'
import { isLive, isOver, sessionEta, sessionProgress } from './pace.ts'
import { bar, boardLines } from './screens/board.ts'
import { padTo } from './screens/charts.ts'
import { compareLines } from './screens/compare.ts'
import { leaderboardLines } from './screens/leaderboard.ts'
import { logLines } from './screens/logs.ts'
import { runLines } from './screens/run.ts'
import type { Scene } from './screens/scene.ts'
import { segmentLines } from './screens/segments.ts'
import { systemLines } from './screens/system.ts'
import { commandsFor } from './view.ts'

/** A whole frame: header, screen or dialog, footer; exactly `height` lines of at most `width` columns. */
export function frameLines(scene: Scene): Line[] {
  const { width, height } = scene
  const head = headerLines(scene)
  const foot = footerLines(scene)
  const room = Math.max(1, height - head.length - foot.length)
  const inside = { ...scene, height: room }
  const body = scene.view.dialog === null ? screenLines(inside) : dialogLines(inside)
  return [...head, ...padTo(body, room), ...foot].slice(0, height).map((l) => truncateLine(l, width))
}

function screenLines(scene: Scene): Line[] {
  switch (scene.view.screen) {
    case 'board':
      return boardLines(scene)
    case 'run':
      return runLines(scene)
    case 'compare':
      return compareLines(scene)
    case 'leaderboard':
      return leaderboardLines(scene)
    case 'logs':
      return logLines(scene)
    case 'system':
      return systemLines(scene)
    case 'segments':
      return segmentLines(scene)
    default:
      return scene.view.screen satisfies never
  }
}

function headerLines(scene: Scene): Line[] {
  const { state, rows, width } = scene
  const title = line(span('gvx', 'accent'), ' ', span(printable(state.title), 'title'))
  const question = state.question === '' ? [] : [span(`  ${printable(state.question)}`, 'dim')]
  const right = line(rows.length === 0 ? '' : timeLeft(scene))
  const first = spread(truncateLine([...title, ...question], width - lineWidth(right) - 1), right, width)
  if (state.preparing !== null) {
    const { what, done, total } = state.preparing
    const share = total > 0 ? done / total : 0
    const count = total > 0 ? ` ${done}/${total}` : ''
    return [
      first,
      line(span(bar(share, Math.min(24, Math.floor(width / 3))), 'accent'), ` preparing ${printable(what)}${count}`),
    ]
  }
  if (rows.length === 0) return [first]
  const share = sessionProgress(rows)
  const counts = countsOf(rows.map((row) => (row.skipped ? 'skipped' : isLive(row.status) ? 'running' : row.status)))
  return [
    first,
    truncateLine(
      line(
        span(bar(share, Math.min(24, Math.floor(width / 3))), 'accent'),
        ` ${formatShare(share)}  `,
        span(counts, 'dim'),
      ),
      width,
    ),
  ]
}

function timeLeft({ state, rows, now }: Scene): Span {
  if (rows.every((row) => row.status === 'finished')) return span('done', 'good')
  if (state.done !== null || rows.every((row) => isOver(row.status))) return span('ended', 'warn')
  const eta = sessionEta(state, rows, now)
  return span(Number.isNaN(eta) ? '' : `${formatDuration(eta)} left`, 'title')
}

const COUNTED = ['failed', 'lost', 'running', 'queued', 'stopped', 'preempted', 'finished', 'skipped'] as const

function countsOf(statuses: readonly string[]): string {
  return COUNTED.map((status) => ({ status, n: statuses.filter((s) => s === status).length }))
    .filter(({ n }) => n > 0)
    .map(({ status, n }) => `${n} ${status}`)
    .join(' · ')
}

/** Where seven whole names and the help do not fit. */
const SHORT_NAMES: Record<Screen, string> = {
  board: 'board',
  run: 'run',
  compare: 'comp',
  leaderboard: 'rank',
  logs: 'logs',
  system: 'sys',
  segments: 'seg',
}

function footerLines({ view, typed, width, notice }: Scene): Line[] {
  const { dialog } = view
  if (dialog?.type === 'text')
    return [
      line(
        span(`${dialog.what}: `, 'title'),
        printable(typed),
        span('▏', 'accent'),
        span('  enter accepts, esc leaves', 'dim'),
      ),
    ]
  if (notice !== null) return [truncateLine(line(span(printable(notice), 'warn')), width)]
  const here = SCREENS.indexOf(view.screen) + 1
  if (width < 50)
    return [
      spread(
        line(span(`${here} ${view.screen}`, 'selected'), span(' tab', 'dim')),
        line(span('? help  q quit', 'dim')),
        width,
      ),
    ]
  const tabs: Span[] = SCREENS.flatMap((screen, i): Span[] => [
    ...(i > 0 ? [span(' ')] : []),
    span(`${i + 1} ${width < 75 ? SHORT_NAMES[screen] : screen}`, screen === view.screen ? 'selected' : 'dim'),
  ])
  const filter = view.filter === '' ? '' : `/${view.filter}  `
  const marked = view.marked.size === 0 ? '' : `${view.marked.size} marked  `
  const state = span(printable(`${filter}${marked}`), 'accent')
  const help = span('? help', 'dim')
  const rights = [line(state, help, span('  q quit', 'dim')), line(state, help), line(state)]
  const room = width - lineWidth(tabs) - 1
  return [spread(tabs, rights.find((right) => lineWidth(right) <= room) ?? line(help), width)]
}

function dialogLines(scene: Scene): Line[] {
  const { dialog } = scene.view
  switch (dialog?.type) {
    case 'help':
      return helpLines(scene)
    case 'quit': {
      const live = scene.rows.filter((row) => isLive(row.status)).length
      return ask(scene, `${plural(live, 'run')} running: leave how?`, [
        ['d', 'detach: the runs go on, gvx watch finds them again'],
        ['s', 'stop gently: finish the step, write a checkpoint, resume later'],
        ['c', 'cancel: stop now, back to the last checkpoint'],
        ['esc', 'stay'],
      ])
    }
    case 'confirm':
      return dialog.what === 'stop'
        ? ask(scene, `stop ${dialog.run} after the step in hand?`, [
            ['y', 'stop it; it writes a checkpoint and can be resumed'],
            ['n', 'let it run'],
          ])
        : ask(scene, `run ${dialog.run} again?`, [
            ['y', 'from its last checkpoint, or from the start if it has none'],
            ['n', 'leave it'],
          ])
    case 'text':
      return dialog.what === 'command' ? paletteLines(scene) : screenLines(scene)
    default:
      return screenLines(scene)
  }
}

function ask({ width }: Scene, question: string, answers: readonly (readonly [string, string])[]): Line[] {
  return [
    EMPTY,
    ...wrap(question, width - 3).map((text) => line('  ', span(text, 'title'))),
    EMPTY,
    ...answers.flatMap(([key, text]) =>
      wrap(text, width - 8).map((part, i) => line('  ', span(pad(i === 0 ? key : '', 5), 'accent'), part)),
    ),
  ]
}

function paletteLines({ typed, width, height }: Scene): Line[] {
  const found = commandsFor(typed).slice(0, height - 2)
  if (found.length === 0) return [EMPTY, line(span('  no such command', 'dim'))]
  return [EMPTY, ...found.map((binding, i) => truncateLine(bindingLine(binding, i === 0), width))]
}

const bindingLine = (binding: KeyBinding, selected = false): Line =>
  line(selected ? span('▸ ', 'accent') : '  ', span(pad(binding.keys.join(' '), 10), 'accent'), binding.help)

/** The key map in as many columns as fit, and in pages when it is longer than the screen. */
function helpLines({ view, width, height }: Scene): Line[] {
  const all = helpOf(view.screen).flatMap(({ group, bindings }) => [
    line(span(group, 'title')),
    ...bindings.map((binding) => bindingLine(binding)),
  ])
  const rows = Math.max(1, height - 1)
  const across = Math.max(1, Math.min(Math.ceil(all.length / rows), Math.floor(width / 38)))
  const pages = Math.ceil(all.length / (across * rows))
  const page = view.dialog?.type === 'help' ? view.dialog.page % pages : 0
  const part = all.slice(page * across * rows, (page + 1) * across * rows)
  const columns = Array.from({ length: across }, (_, c) => ({
    lines: part.slice(c * rows, (c + 1) * rows),
    width: Math.floor(width / across) - 1,
  }))
  const more = pages > 1 ? `page ${page + 1} of ${pages}: space · ` : ''
  return [...beside(columns), line(span(`${more}any other key goes back`, 'dim'))]
}
