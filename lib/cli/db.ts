import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { EXIT, UserError } from '../core/errors.ts'
import { openStore } from '../store/open.ts'
import { backupDatabase, type Check, checkDatabase, migrationNames, rebuildDatabase } from '../store/upkeep.ts'
import { formatBytes } from '../tui/format.ts'
import { defineCommand } from './command.ts'

type Args = { action: 'check' | 'backup' | 'rebuild' | 'migrate'; file?: string }
type Done =
  | { action: 'check'; check: Check }
  | { action: 'backup'; file: string; bytes: number }
  | { action: 'rebuild'; runs: number; kept: string | null }
  | { action: 'migrate'; schema: number; migrations: string[] }

export default defineCommand<Args, Done>({
  kind: 'db',
  builder: (y) =>
    y
      .positional('action', {
        choices: ['check', 'backup', 'rebuild', 'migrate'] as const,
        demandOption: true,
        describe: 'check: is it whole · backup FILE · rebuild: anew from runs/ · migrate: up to date with this gvx',
      })
      .positional('file', { type: 'string', describe: 'Where the backup goes' }),
  async run({ action, file }, context): Promise<Done> {
    const { home, say, setExit } = context
    switch (action) {
      case 'check': {
        const check = checkDatabase(home)
        if (check.problems.length > 0) setExit(EXIT.database)
        return { action, check }
      }
      case 'backup': {
        const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '')
        const target = resolve(file ?? `${home}/runs.db.backup-${stamp}`)
        const store = await context.store()
        if (!existsSync(store.file))
          throw new UserError(`there is no database in ${home}.`, { exitCode: EXIT.nothingFound })
        return { action, file: target, bytes: backupDatabase(store, target) }
      }
      case 'rebuild':
        return { action, ...rebuildDatabase(home, say) }
      case 'migrate': {
        openStore(home).close()
        return { action, schema: migrationNames().length, migrations: migrationNames() }
      }
      default:
        return action satisfies never
    }
  },
  print(done, out) {
    switch (done.action) {
      case 'check': {
        const { check } = done
        out.line(`${check.file}: ${formatBytes(check.bytes)}, schema ${check.schema}`)
        out.line(
          Object.entries(check.rows)
            .map(([table, n]) => `${n} ${table}`)
            .join(', '),
        )
        for (const problem of check.problems) out.line(`problem: ${problem}`)
        out.line(check.problems.length === 0 ? 'whole.' : 'gvx db rebuild makes a new one from runs/.')
        return
      }
      case 'backup':
        out.line(`${done.file}: ${formatBytes(done.bytes)}`)
        return
      case 'rebuild':
        out.line(`${done.runs} runs from runs/${done.kept ? `; the old database is kept as ${done.kept}` : ''}.`)
        return
      case 'migrate':
        out.line(`schema ${done.schema}: ${done.migrations.join(', ')}`)
        return
      default:
        done satisfies never
    }
  },
})
