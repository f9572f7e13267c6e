import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoggedEvent } from '../core/events.ts'
import { printable } from '../core/text.ts'
import { followRun } from '../run/follow.ts'
import { hasEnded } from '../run/status.ts'
import { resolveRunName } from '../store/names.ts'
import { formatClock } from '../tui/format.ts'
import { logLine } from '../tui/reducer.ts'
import { type Context, defineCommand } from './command.ts'

type Args = { run: string; follow?: boolean; errors?: boolean; grep?: string; metrics?: boolean; worker?: boolean }

const POLL_MS = 250

export default defineCommand<Args, undefined>({
  builder: (y) =>
    y
      .positional('run', { type: 'string', demandOption: true, describe: 'run12, 12, @last, @best or tag:x' })
      .option('follow', { alias: 'f', type: 'boolean', describe: 'Go on until the run has ended' })
      .option('errors', { alias: 'e', type: 'boolean', describe: 'Only warnings and errors' })
      .option('grep', { alias: 'g', type: 'string', describe: 'Only lines that hold this text' })
      .option('metrics', { alias: 'm', type: 'boolean', describe: 'With the numbers of each step' })
      .option('worker', {
        type: 'boolean',
        default: true,
        describe: 'What the process itself printed, after the events',
      }),
  async run(args, context) {
    const id = resolveRunName(await context.store(), args.run)
    const dir = join(context.home, 'runs', `run${id}`)
    const follow = followRun(dir)
    const output = args.worker ? followOutput(dir) : null
    for (;;) {
      const state = follow((events) => {
        for (const event of events) show(event, args, context)
      })
      for (const line of output?.() ?? []) write(line, args, context)
      if (!args.follow || hasEnded(state.status) || context.signal.aborted) return undefined
      await sleep(POLL_MS)
    }
  },
})

function show(event: LoggedEvent, args: Args, context: Context): void {
  if (event.type === 'metric') {
    if (!args.metrics || args.errors) return
    const values = Object.entries(event.values).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`)
    write(`${formatClock(event.t)}  step ${event.step}: ${values.join(', ')}`, args, context)
    return
  }
  const line = logLine(event)
  if (line && (!args.errors || line.level !== 'info')) write(`${formatClock(line.time)}  ${line.text}`, args, context)
}

function write(text: string, { grep }: Args, context: Context): void {
  if (grep === undefined || text.toLowerCase().includes(grep.toLowerCase())) context.write(`${printable(text)}\n`)
}

/** New whole lines of `worker.N.log` at each call, headed by the file's name. */
function followOutput(dir: string): () => string[] {
  const places = new Map<string, { read: number; decoder: StringDecoder; rest: string }>()
  return () =>
    existsSync(dir)
      ? readdirSync(dir)
          .filter((name) => /^worker\.\d+\.log$/.test(name))
          .sort((a, b) => Number(a.split('.')[1]) - Number(b.split('.')[1]))
          .flatMap((name) => {
            const place = places.get(name) ?? { read: 0, decoder: new StringDecoder('utf8'), rest: '' }
            const fresh = !places.has(name)
            places.set(name, place)
            const bytes = readFrom(join(dir, name), place.read)
            place.read += bytes.length
            const lines = (place.rest + place.decoder.write(bytes)).split('\n')
            place.rest = lines.pop()!
            return lines.length > 0 && fresh ? [`${name}:`, ...lines] : lines
          })
      : []
}

function readFrom(file: string, from: number): Buffer {
  const fd = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(Math.max(0, Math.min(fstatSync(fd).size - from, 4 << 20)))
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, from))
  } finally {
    closeSync(fd)
  }
}
