import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../core/errors.ts'
import type { LoggedEvent } from '../core/events.ts'
import { printable } from '../core/text.ts'
import { followRun } from '../run/follow.ts'
import { hasEnded } from '../run/status.ts'
import { resolveRunName } from '../store/names.ts'
import { formatClock } from '../tui/format.ts'
import { type LogLine, logLine } from '../tui/reducer.ts'
import { type Cell, defineCommand } from './command.ts'

type Args = {
  run: string
  follow?: boolean
  errors?: boolean
  grep?: string
  metrics?: boolean
  worker?: boolean
  json?: boolean
  csv?: boolean
  md?: boolean
  tex?: boolean
}

/** A line of what a run or its process said; `t` and `level` are null for what the process printed. */
type Line = { t: number | null; level: LogLine['level'] | null; text: string }

const POLL_MS = 250

export default defineCommand<Args, { run: string; lines: Line[] } | undefined>({
  kind: 'logs',
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
    const whole = args.json || args.csv || args.md || args.tex
    if (whole && args.follow)
      throw new UserError('--follow prints lines as they come, not a table.', { hint: 'leave --follow out' })
    const id = resolveRunName(await context.store(), args.run)
    const dir = join(context.home, 'runs', `run${id}`)
    const follow = followRun(dir)
    const output = args.worker ? followOutput(dir) : null
    const lines: Line[] = []
    const take = (line: Line | null) => {
      if (line === null || !line.text.toLowerCase().includes((args.grep ?? '').toLowerCase())) return
      if (whole) lines.push(line)
      else context.write(`${printable(line.t === null ? line.text : `${formatClock(line.t)}  ${line.text}`)}\n`)
    }
    for (;;) {
      const state = follow((events) => {
        for (const event of events) take(lineOf(event, args))
      })
      for (const text of output?.() ?? []) take({ t: null, level: null, text })
      if (!args.follow || hasEnded(state.status) || context.signal.aborted)
        return whole ? { run: `run${id}`, lines } : undefined
      await sleep(POLL_MS)
    }
  },
  print(data, out) {
    if (data === undefined) return
    out.table({
      columns: [
        { name: 't', format: (t) => (typeof t === 'number' ? formatClock(t) : '') },
        { name: 'level' },
        { name: 'text' },
      ],
      rows: data.lines.map(({ t, level, text }): Cell[] => [t, level, text]),
    })
  },
})

function lineOf(event: LoggedEvent, { metrics, errors }: Args): Line | null {
  if (event.type === 'metric') {
    if (!metrics || errors) return null
    const values = Object.entries(event.values).map(([name, value]) => `${name} ${Number(value.toPrecision(5))}`)
    return { t: event.t, level: 'info', text: `step ${event.step}: ${values.join(', ')}` }
  }
  const line = logLine(event)
  return line === null || (errors && line.level === 'info')
    ? null
    : { t: line.time, level: line.level, text: line.text }
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
