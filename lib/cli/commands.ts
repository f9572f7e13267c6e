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
  {
    usage: 'supervise <handoff>',
    describe: 'Go on with a session that was left',
    load: () => import('./supervise.ts'),
    hidden: true,
  },
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
  { usage: 'eval <runs..>', describe: 'Evaluate runs on a data set', load: () => import('./eval.ts') },
  { usage: 'segment <images..>', describe: 'Segment images with a run', load: () => import('./segment.ts') },
  {
    usage: 'plot <runs..>',
    describe: 'Draw curves, a confusion matrix or a film of the groups',
    load: () => import('./plot.ts'),
  },
  {
    usage: 'metrics',
    describe: 'mIoU and boundary IoU of a folder of predicted masks',
    load: () => import('./metrics.ts'),
  },
  {
    usage: 'data <action> [paths..]',
    describe: 'Make, check, look at, measure and pack data',
    load: () => import('./data.ts'),
  },
  { usage: 'logs <run>', describe: 'What a run and its process said', load: () => import('./logs.ts') },
  { usage: 'tag <run> [tags..]', describe: 'Tag a run, or list its tags', load: () => import('./tag.ts') },
  {
    usage: 'note <run> [text..]',
    describe: 'Write a note on a run, or list its notes',
    load: () => import('./note.ts'),
  },
  { usage: 'rm <runs..>', describe: 'Take runs out of the lists; deletes nothing', load: () => import('./rm.ts') },
  { usage: 'restore <runs..>', describe: 'Bring runs back into the lists', load: () => import('./restore.ts') },
  {
    usage: 'export [runs..]',
    describe: 'Write points and tables as CSV, JSON lines, Parquet or SQLite, or weights for transformers',
    load: () => import('./export.ts'),
  },
  { usage: 'sql <query>', describe: 'Ask the database, reading only', load: () => import('./sql.ts') },
  {
    usage: 'db <action> [file]',
    describe: 'Check, back up, rebuild or migrate the database',
    load: () => import('./db.ts'),
  },
  {
    usage: 'config <action> [file]',
    describe: 'Print a complete configuration, its schema or its keys',
    load: () => import('./config.ts'),
  },
  {
    usage: 'import <source>',
    describe: 'Make a run of weights from elsewhere: Hugging Face, safetensors, .pth',
    load: () => import('./import.ts'),
  },
  {
    usage: 'model [config]',
    describe: 'What a model is made of: stages, parameters, FLOPs, memory',
    load: () => import('./model.ts'),
  },
  {
    usage: 'doctor',
    describe: 'What works on this machine, and what to do about the rest',
    load: () => import('./doctor.ts'),
  },
  {
    usage: 'bench',
    describe: 'How fast the backends of this machine are, and where the time goes',
    load: () => import('./bench.ts'),
  },
  {
    usage: 'completion [shell]',
    describe: 'Script that completes commands in a shell',
    load: () => import('./completion.ts'),
  },
]

/** `show` of `show <run>`. */
export const nameOf = (entry: CommandEntry): string => entry.usage.split(' ')[0]
