/** The keys as data: the screen acts on them, the help and the documentation are made from them. */

export const SCREENS = ['board', 'run', 'compare', 'leaderboard', 'logs', 'system', 'segments'] as const
export type Screen = (typeof SCREENS)[number]

export type Action =
  | 'down'
  | 'up'
  | 'pageDown'
  | 'pageUp'
  | 'first'
  | 'last'
  | 'open'
  | 'back'
  | 'nextScreen'
  | 'previousScreen'
  | `go:${Screen}`
  | 'filter'
  | 'sort'
  | 'mark'
  | 'pin'
  | 'compare'
  | 'logY'
  | 'smoothing'
  | 'xAxis'
  | 'zoomIn'
  | 'zoomOut'
  | 'cursorLeft'
  | 'cursorRight'
  | 'nextRun'
  | 'previousRun'
  | 'follow'
  | 'errorsOnly'
  | 'stop'
  | 'retry'
  | 'tag'
  | 'note'
  | 'command'
  | 'help'
  | 'quit'
  | 'suspend'
  | 'interrupt'

export type KeyBinding = {
  /** Names as `nameOfKey` gives them. */
  keys: readonly string[]
  action: Action
  help: string
  group: 'move' | 'screens' | 'list' | 'charts' | 'logs' | 'runs' | 'gvx'
  /** Where it means something; everywhere when left out. */
  screens?: readonly Screen[]
}

const CHARTS = ['run', 'compare'] as const

const SCREEN_HELP: Record<Screen, string> = {
  board: 'all points of the sweep',
  run: 'charts of one run',
  compare: 'marked runs side by side',
  leaderboard: 'mean over seeds',
  logs: 'what a run said',
  system: 'CPU, memory, disk and GPU',
  segments: 'group maps of images',
}

export const KEYS: readonly KeyBinding[] = [
  { keys: ['j', 'down'], action: 'down', help: 'next line', group: 'move' },
  { keys: ['k', 'up'], action: 'up', help: 'previous line', group: 'move' },
  { keys: ['pagedown'], action: 'pageDown', help: 'next page', group: 'move' },
  { keys: ['pageup'], action: 'pageUp', help: 'previous page', group: 'move' },
  { keys: ['g', 'home'], action: 'first', help: 'first line', group: 'move' },
  { keys: ['G', 'end'], action: 'last', help: 'last line', group: 'move' },
  { keys: ['enter'], action: 'open', help: 'open the selected run', group: 'move' },
  { keys: ['esc'], action: 'back', help: 'back', group: 'move' },

  { keys: ['tab'], action: 'nextScreen', help: 'next screen', group: 'screens' },
  { keys: ['shift-tab'], action: 'previousScreen', help: 'previous screen', group: 'screens' },
  ...SCREENS.map(
    (screen, i): KeyBinding => ({
      keys: [String(i + 1)],
      action: `go:${screen}`,
      help: SCREEN_HELP[screen],
      group: 'screens',
    }),
  ),

  { keys: ['/'], action: 'filter', help: 'filter, search the logs', group: 'list' },
  { keys: ['s'], action: 'sort', help: 'sort by the next column', group: 'list', screens: ['board'] },
  { keys: ['space'], action: 'mark', help: 'mark a run for comparison', group: 'list' },
  { keys: ['P'], action: 'pin', help: 'pin a run to the top', group: 'list', screens: ['board'] },
  { keys: ['c'], action: 'compare', help: 'compare the marked runs', group: 'list' },

  { keys: ['y'], action: 'logY', help: 'logarithmic y-axis', group: 'charts', screens: CHARTS },
  { keys: ['S'], action: 'smoothing', help: 'smoothing, three strengths', group: 'charts', screens: CHARTS },
  { keys: ['x'], action: 'xAxis', help: 'x by step, time or epoch', group: 'charts', screens: CHARTS },
  { keys: ['+', '='], action: 'zoomIn', help: 'zoom in on the latest', group: 'charts', screens: CHARTS },
  { keys: ['-'], action: 'zoomOut', help: 'zoom out', group: 'charts', screens: CHARTS },
  {
    keys: ['left', 'h'],
    action: 'cursorLeft',
    help: 'cursor to the left',
    group: 'charts',
    screens: CHARTS,
  },
  { keys: ['right', 'l'], action: 'cursorRight', help: 'cursor to the right', group: 'charts', screens: CHARTS },
  { keys: ['n', ']'], action: 'nextRun', help: 'next run', group: 'charts', screens: ['run', 'logs', 'segments'] },
  {
    keys: ['p', '['],
    action: 'previousRun',
    help: 'previous run',
    group: 'charts',
    screens: ['run', 'logs', 'segments'],
  },

  { keys: ['f'], action: 'follow', help: 'follow the end', group: 'logs', screens: ['logs'] },
  { keys: ['e'], action: 'errorsOnly', help: 'only warnings and errors', group: 'logs', screens: ['logs'] },

  { keys: ['X'], action: 'stop', help: 'stop it after its step', group: 'runs' },
  { keys: ['R'], action: 'retry', help: 'retry or resume the run', group: 'runs' },
  { keys: ['t'], action: 'tag', help: 'tag the run', group: 'runs' },
  { keys: ['N'], action: 'note', help: 'write a note to the run', group: 'runs' },

  { keys: [':'], action: 'command', help: 'command palette', group: 'gvx' },
  { keys: ['?'], action: 'help', help: 'this help', group: 'gvx' },
  { keys: ['q'], action: 'quit', help: 'detach, stop or cancel', group: 'gvx' },
  { keys: ['ctrl-c'], action: 'interrupt', help: 'stop gently, leave', group: 'gvx' },
  { keys: ['ctrl-z'], action: 'suspend', help: 'to the shell until fg', group: 'gvx' },
]

/** Names a key as the map does; null for what is not a key of ours. */
export function nameOfKey(input: string, key: KeyFlags): string | null {
  if (key.ctrl) return input.length === 1 ? `ctrl-${input}` : null
  if (key.upArrow) return 'up'
  if (key.downArrow) return 'down'
  if (key.leftArrow) return 'left'
  if (key.rightArrow) return 'right'
  if (key.pageUp) return 'pageup'
  if (key.pageDown) return 'pagedown'
  if (key.home) return 'home'
  if (key.end) return 'end'
  if (key.return) return 'enter'
  if (key.escape) return 'esc'
  if (key.tab) return key.shift ? 'shift-tab' : 'tab'
  if (key.backspace || key.delete) return 'backspace'
  if (input === ' ') return 'space'
  return input.length === 1 ? input : null
}

export type KeyFlags = {
  ctrl: boolean
  shift: boolean
  upArrow: boolean
  downArrow: boolean
  leftArrow: boolean
  rightArrow: boolean
  pageUp: boolean
  pageDown: boolean
  home: boolean
  end: boolean
  return: boolean
  escape: boolean
  tab: boolean
  backspace: boolean
  delete: boolean
}

/** A key without any of the special ones. */
export const NO_FLAGS: KeyFlags = {
  ctrl: false,
  shift: false,
  upArrow: false,
  downArrow: false,
  leftArrow: false,
  rightArrow: false,
  pageUp: false,
  pageDown: false,
  home: false,
  end: false,
  return: false,
  escape: false,
  tab: false,
  backspace: false,
  delete: false,
}

/** What a key means on a screen; null when nothing. */
export function actionOf(screen: Screen, key: string): Action | null {
  const binding = KEYS.find((b) => b.keys.includes(key) && (b.screens === undefined || b.screens.includes(screen)))
  return binding?.action ?? null
}

/** The bindings that mean something on a screen, by group. */
export function helpOf(screen: Screen): { group: string; bindings: KeyBinding[] }[] {
  const here = KEYS.filter((b) => b.screens === undefined || b.screens.includes(screen))
  return [...new Set(here.map((b) => b.group))].map((group) => ({
    group,
    bindings: here.filter((b) => b.group === group),
  }))
}
