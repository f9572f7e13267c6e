import type { AnyCommand } from './command.ts'

/**
 * Every command: how it is written, what it does, and the file that does it, which is loaded only when it is asked for.
 * `hidden` ones are for gvx itself.
 */
export type CommandEntry = {
  usage: string
  describe: string
  load: () => Promise<{ default: AnyCommand }>
  hidden?: boolean
}

export const COMMANDS: readonly CommandEntry[] = [
  { usage: 'runs', describe: 'List runs, filtered and sorted', load: () => import('./runs.ts') },
  { usage: 'show <run>', describe: 'Everything about one run', load: () => import('./show.ts') },
  {
    usage: 'compare <runs..>',
    describe: 'What differs between runs, in configuration and results',
    load: () => import('./compare.ts'),
  },
  {
    usage: 'leaderboard',
    describe: 'Rank configurations by mean ± std over seeds, within each protocol',
    load: () => import('./leaderboard.ts'),
  },
]

/** `show` of `show <run>`. */
export const nameOf = (entry: CommandEntry): string => entry.usage.split(' ')[0]
