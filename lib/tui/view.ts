import type { RunStatus } from '../core/updates.ts'
import { type Action, actionOf, KEYS, SCREENS, type Screen } from './keys.ts'

/** Where the reader is and how things are drawn: a pure fold of keys. What has to happen outside comes out as an intent. */

export type View = {
  screen: Screen
  /** Screen that `esc` goes back to. */
  from: Screen
  /** Id of the selected row; null selects the first. */
  selected: string | null
  marked: ReadonlySet<string>
  pinned: ReadonlySet<string>
  filter: string
  sort: Sort
  logY: boolean
  smoothing: number
  xAxis: XAxis
  /** The charts show the last 2^-zoom of the x-axis. */
  zoom: number
  /** Where the cursor stands in the charts' window, 0 to 1; null is off. */
  cursor: number | null
  /** Lines (logs) or charts (run, compare) that are scrolled past. */
  scroll: number
  follow: boolean
  errorsOnly: boolean
  search: string
  dialog: Dialog
}

export type Sort = 'plan' | 'status' | 'progress' | 'score'
export type XAxis = 'step' | 'time' | 'epoch'
export type Dialog =
  | null
  | { type: 'help'; page: number }
  | { type: 'quit' }
  | { type: 'confirm'; what: 'stop' | 'retry'; run: string }
  | { type: 'text'; what: 'filter' | 'search' | 'command' }
  | { type: 'text'; what: 'tag' | 'note'; run: string }
export type Outcome = 'detach' | 'stop' | 'cancel' | 'done'
export type Intent =
  | { type: 'leave'; outcome: Outcome }
  | { type: 'stop' | 'retry'; run: string }
  | { type: 'tag' | 'note'; run: string; text: string }
  | { type: 'suspend' }
  | { type: 'notice'; text: string }

/** What a key may depend on besides the view. `rows` are the visible ones in their order. */
export type ViewContext = {
  rows: readonly { id: string; runName: string | null; status: RunStatus }[]
  /** Something is running or queued: leaving has to ask. */
  busy: boolean
  page: number
}

const TURNS_PAGE = new Set(['space', 'j', 'down', 'pagedown', 'tab'])

export const SMOOTHING = [0, 0.6, 0.9, 0.97] as const
const SORTS = ['plan', 'status', 'progress', 'score'] as const
const X_AXES = ['step', 'time', 'epoch'] as const
const MAX_ZOOM = 6

export const START_VIEW: View = {
  screen: 'board',
  from: 'board',
  selected: null,
  marked: new Set(),
  pinned: new Set(),
  filter: '',
  sort: 'plan',
  logY: false,
  smoothing: 0,
  xAxis: 'step',
  zoom: 0,
  cursor: null,
  scroll: 0,
  follow: true,
  errorsOnly: false,
  search: '',
  dialog: null,
}

export type Step = { view: View; typed: string; intent: Intent | null }

/** The view after a key. `typed` is the text of an open text dialog. */
export function pressKey(view: View, typed: string, key: string, context: ViewContext): Step {
  const { dialog } = view
  if (key === 'ctrl-c') return { view, typed, intent: { type: 'leave', outcome: context.busy ? 'stop' : 'done' } }
  if (dialog === null) {
    const action = actionOf(view.screen, key)
    return action === null ? { view, typed, intent: null } : act(view, action, context)
  }
  switch (dialog.type) {
    case 'help':
      if (!TURNS_PAGE.has(key)) return close(view)
      return stay({ ...view, dialog: { type: 'help', page: dialog.page + 1 } })
    case 'quit':
      return answerQuit(view, key)
    case 'confirm':
      if (key === 'y' || key === 'enter') return close(view, { type: dialog.what, run: dialog.run })
      return key === 'n' || key === 'esc' || key === 'q' ? close(view) : { view, typed, intent: null }
    case 'text':
      return typeKey(view, typed, key, context)
    default:
      return dialog satisfies never
  }
}

const close = (view: View, intent: Intent | null = null): Step => ({
  view: { ...view, dialog: null },
  typed: '',
  intent,
})
const stay = (view: View, intent: Intent | null = null): Step => ({ view, typed: '', intent })

function answerQuit(view: View, key: string): Step {
  if (key === 'd' || key === 'enter') return close(view, { type: 'leave', outcome: 'detach' })
  if (key === 's') return close(view, { type: 'leave', outcome: 'stop' })
  if (key === 'c') return close(view, { type: 'leave', outcome: 'cancel' })
  return key === 'esc' || key === 'q' ? close(view) : stay(view)
}

function typeKey(view: View, typed: string, key: string, context: ViewContext): Step {
  const { dialog } = view
  if (dialog?.type !== 'text') return stay(view)
  if (key === 'esc') {
    if (dialog.what === 'filter') return close({ ...view, filter: '' })
    return close(dialog.what === 'search' ? { ...view, search: '' } : view)
  }
  if (key === 'enter') {
    if (dialog.what === 'command') {
      const action = commandsFor(typed)[0]?.action
      return action === undefined ? close(view) : act({ ...view, dialog: null }, action, context)
    }
    const text = typed.trim()
    const say = (dialog.what === 'tag' || dialog.what === 'note') && text !== ''
    return close(view, say ? { type: dialog.what, run: dialog.run, text } : null)
  }
  const text =
    key === 'backspace' ? [...typed].slice(0, -1).join('') : typed + (key === 'space' ? ' ' : printableKey(key))
  if (dialog.what === 'filter') return { view: { ...view, filter: text, selected: null }, typed: text, intent: null }
  if (dialog.what === 'search') return { view: { ...view, search: text }, typed: text, intent: null }
  return { view, typed: text, intent: null }
}

const printableKey = (key: string): string => ([...key].length === 1 ? key : '')

/** Bindings whose help or screen name holds what was typed: the command palette. */
export const commandsFor = (text: string) =>
  KEYS.filter((b) => b.group !== 'move' && b.action !== 'command' && b.action !== 'interrupt').filter((b) =>
    `${b.help} ${b.action}`.toLowerCase().includes(text.trim().toLowerCase()),
  )

/** The row that actions go to: the selected one, else the first at work, else the first. */
export function selectedRow<T extends { id: string; status: RunStatus }>(
  rows: readonly T[],
  selected: string | null,
): T | null {
  const atWork = ({ status }: T) => status === 'running' || status === 'starting'
  return rows.find((row) => row.id === selected) ?? rows.find(atWork) ?? rows[0] ?? null
}

function act(view: View, action: Action, context: ViewContext): Step {
  const row = selectedRow(context.rows, view.selected)
  const select = (by: number) => {
    const at = context.rows.findIndex((r) => r.id === row?.id)
    const to = Math.max(0, Math.min(context.rows.length - 1, at + by))
    return stay({ ...view, selected: context.rows[to]?.id ?? null })
  }
  const listed = view.screen === 'board' || view.screen === 'leaderboard' || view.screen === 'system'
  // in the logs upwards is back in time, away from the end that is followed
  const move = (by: number): Step => {
    if (listed) return select(by)
    const scroll = Math.max(0, view.screen === 'logs' ? view.scroll - by : view.scroll + by)
    return stay({ ...view, scroll, follow: view.screen === 'logs' ? scroll === 0 : view.follow })
  }
  const go = (screen: Screen): Step =>
    stay({ ...view, screen, from: view.screen === screen ? view.from : view.screen, scroll: 0, cursor: null })
  const withRun = (make: (run: string) => Dialog): Step => {
    const run = row?.runName
    if (!run) return stay(view, { type: 'notice', text: 'this point has no run yet' })
    return stay({ ...view, dialog: make(run) })
  }
  switch (action) {
    case 'down':
      return move(1)
    case 'up':
      return move(-1)
    case 'pageDown':
      return move(context.page)
    case 'pageUp':
      return move(-context.page)
    case 'first':
      return move(-1e9)
    case 'last':
      return move(1e9)
    case 'nextRun':
      return select(1)
    case 'previousRun':
      return select(-1)
    case 'open':
      return view.screen === 'board' || view.screen === 'leaderboard' ? go('run') : stay(view)
    case 'back':
      if (view.cursor !== null) return stay({ ...view, cursor: null })
      if (view.screen === 'board') return stay({ ...view, filter: '', marked: new Set() })
      return go('board')
    case 'nextScreen':
      return go(SCREENS[(SCREENS.indexOf(view.screen) + 1) % SCREENS.length])
    case 'previousScreen':
      return go(SCREENS[(SCREENS.indexOf(view.screen) + SCREENS.length - 1) % SCREENS.length])
    case 'filter':
      return stay({ ...view, dialog: { type: 'text', what: view.screen === 'logs' ? 'search' : 'filter' } })
    case 'sort':
      return stay({ ...view, sort: SORTS[(SORTS.indexOf(view.sort) + 1) % SORTS.length] })
    case 'mark':
      return row === null ? stay(view) : stay({ ...view, marked: toggled(view.marked, row.id) })
    case 'pin':
      return row === null ? stay(view) : stay({ ...view, pinned: toggled(view.pinned, row.id) })
    case 'compare':
      return go('compare')
    case 'logY':
      return stay({ ...view, logY: !view.logY })
    case 'smoothing':
      return stay({ ...view, smoothing: (view.smoothing + 1) % SMOOTHING.length })
    case 'xAxis':
      return stay({ ...view, xAxis: X_AXES[(X_AXES.indexOf(view.xAxis) + 1) % X_AXES.length] })
    case 'zoomIn':
      return stay({ ...view, zoom: Math.min(MAX_ZOOM, view.zoom + 1) })
    case 'zoomOut':
      return stay({ ...view, zoom: Math.max(0, view.zoom - 1) })
    case 'cursorLeft':
      return stay({ ...view, cursor: Math.max(0, (view.cursor ?? 1) - 0.02) })
    case 'cursorRight':
      return stay({ ...view, cursor: Math.min(1, (view.cursor ?? 1) + 0.02) })
    case 'follow':
      return stay({ ...view, follow: true, scroll: 0 })
    case 'errorsOnly':
      return stay({ ...view, errorsOnly: !view.errorsOnly })
    case 'stop':
      return withRun((run) => ({ type: 'confirm', what: 'stop', run }))
    case 'retry':
      return withRun((run) => ({ type: 'confirm', what: 'retry', run }))
    case 'tag':
    case 'note':
      return withRun((run) => ({ type: 'text', what: action, run }))
    case 'command':
      return stay({ ...view, dialog: { type: 'text', what: 'command' } })
    case 'help':
      return stay({ ...view, dialog: { type: 'help', page: 0 } })
    case 'quit':
      return context.busy ? stay({ ...view, dialog: { type: 'quit' } }) : stay(view, { type: 'leave', outcome: 'done' })
    case 'suspend':
      return stay(view, { type: 'suspend' })
    case 'interrupt':
      return stay(view, { type: 'leave', outcome: context.busy ? 'stop' : 'done' })
    default: {
      const screen = action.slice('go:'.length) as Screen
      return go(screen)
    }
  }
}

function toggled(set: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(set)
  if (!next.delete(id)) next.add(id)
  return next
}
