import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { tagRun, untagRun } from '../store/marks.ts'
import { resolveRunName } from '../store/names.ts'
import { getRun } from '../store/runs.ts'
import { defineCommand } from './command.ts'

type Args = { run: string; tags?: string[]; remove?: boolean }

export default defineCommand<Args, { run: string; tags: string[] }>({
  kind: 'tags',
  builder: (y) =>
    y
      .positional('run', { type: 'string', demandOption: true, describe: 'run12, 12, @last, @best or tag:x' })
      .positional('tags', { type: 'string', array: true, describe: 'Tags to add; none lists those there are' })
      .option('remove', { alias: 'd', type: 'boolean', describe: 'Take the tags off' }),
  async run(args, context) {
    const store = await context.store()
    const id = resolveRunName(store, args.run)
    for (const tag of args.tags ?? []) {
      if (!/^[\p{L}\p{N}][\p{L}\p{N}._-]{0,63}$/u.test(tag))
        throw new UserError(`${printable(tag)} is no tag: letters, digits, dots, dashes, at most 64.`)
      if (args.remove) untagRun(store, id, tag)
      else tagRun(store, id, tag)
    }
    return { run: `run${id}`, tags: getRun(store, id).tags }
  },
  print: ({ run, tags }, out) => out.line(`${run}: ${tags.join(' ') || 'no tags'}`),
})
