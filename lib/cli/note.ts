import { printable } from '../core/text.ts'
import { noteRun } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import { getRun } from '../store/runs.ts'
import { defineCommand } from './command.ts'
import { moment } from './format.ts'

type Args = { run: string; text?: string[] }

export default defineCommand<Args, { run: string; notes: { t: number; text: string }[] }>({
  kind: 'notes',
  builder: (y) =>
    y
      .positional('run', { type: 'string', demandOption: true, describe: 'run12, 12, @last, @best or tag:x' })
      .positional('text', { type: 'string', array: true, describe: 'What to remember; nothing lists the notes' }),
  async run(args, context) {
    const store = await context.store()
    const id = resolveRunName(store, args.run)
    const text = (args.text ?? []).join(' ').trim()
    if (text) noteRun(store, id, text, Date.now())
    return { run: `run${id}`, notes: getRun(store, id).notes }
  },
  print({ run, notes }, out) {
    if (notes.length === 0) {
      out.line(`${run}: no notes`)
      out.table({ columns: ['run', 't', 'text'].map((name) => ({ name })), rows: [] })
    }
    for (const note of notes) out.line(`${run}  ${moment(note.t)}  ${printable(note.text)}`)
  },
})
