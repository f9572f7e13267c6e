import { showScreen } from '../../lib/tui/index.tsx'
import { eventsOf, NOON, sweepUpdates } from './updates.ts'

/**
 * The screen in a process of its own, for the pseudo-terminal tests and for looking at it: feeds the made-up session and says on
 * stderr how the screen was left. `--live` goes on training, `--throw` throws after the first frame, `--empty` says nothing.
 */
const flags = new Set(process.argv.slice(2))
const begin = Date.now()
const live = flags.has('--live')

if (flags.has('--greet')) process.stdout.write('what was on the terminal before\n')

const outcome = await showScreen({
  home: '.',
  now: live ? Date.now : () => NOON + 22_500,
  subscribe(listener) {
    if (flags.has('--throw'))
      setTimeout(() => {
        throw new Error('thrown on purpose')
      }, 500)
    if (flags.has('--kill')) setTimeout(() => process.kill(process.pid, 'SIGKILL'), 500)
    if (flags.has('--empty')) return () => {}
    for (const update of sweepUpdates()) listener(update)
    if (!live) return () => {}
    let step = 0
    for (const run of ['run4', 'run5', 'run6', 'run7'])
      listener({ type: 'run.events', run, events: eventsOf(4, 0, 10, begin) })
    const timer = setInterval(() => {
      step += 10
      for (const run of ['run4', 'run5', 'run6', 'run7'])
        listener({
          type: 'run.events',
          run,
          events: eventsOf(4, step, step + 10, begin)
            .slice(1)
            .map((e) => ({ ...e, t: Date.now() })),
        })
    }, 500)
    return () => clearInterval(timer)
  },
  actions: {
    stopRun: async () => {},
    readLog: () => ['a line that the worker printed'],
  },
})
process.stderr.write(`left: ${outcome}\n`)
