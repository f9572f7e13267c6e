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
  {
    usage: 'sweep <file>',
    describe: 'Train the points of a sweep file, or what is left of them',
    load: () => import('./sweep.ts'),
  },
  { usage: 'train <config>', describe: 'Train one configuration', load: () => import('./train.ts') },
  { usage: 'watch [runs..]', describe: 'Watch what is running', load: () => import('./watch.ts') },
  { usage: 'stop <runs..>', describe: 'Let runs save and end', load: () => import('./stop.ts') },
  { usage: 'resume <runs..>', describe: 'Go on with runs that ended', load: () => import('./resume.ts') },
  { usage: 'worker <rundir>', describe: 'Train one run', load: () => import('./worker.ts'), hidden: true },
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
