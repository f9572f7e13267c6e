import { configEditorSchema } from '../config/editor-schema.ts'
import { configHash, flattenConfig, freezeConfig } from '../config/hash.ts'
import { configKeys, expectation } from '../config/keys.ts'
import { loadConfig } from '../config/load.ts'
import { sweepEditorSchema } from '../sweep/editor-schema.ts'
import { type Cell, defineCommand, withSet } from './command.ts'

type Args = { action: 'print' | 'schema' | 'keys'; file?: string; set: string[]; origin?: boolean; sweep?: boolean }
type Shown =
  | {
      action: 'print'
      yaml: string
      hash: string
      values: Record<string, unknown>
      origin: Record<string, string> | null
    }
  | { action: 'schema'; schema: object }
  | { action: 'keys'; keys: { key: string; accepts: string; default: unknown; help: string }[] }

export default defineCommand<Args, Shown>({
  kind: 'config',
  builder: (y) =>
    withSet(y)
      .positional('action', {
        choices: ['print', 'schema', 'keys'] as const,
        demandOption: true,
        describe: 'print: one complete configuration · schema: JSON schema for editors · keys: every key with its help',
      })
      .positional('file', { type: 'string', describe: 'A configuration; none prints the defaults' })
      .option('sweep', { type: 'boolean', describe: 'With schema: that of a sweep file' })
      .option('origin', { type: 'boolean', describe: 'Where each value that is no default comes from' }),
  run({ action, file, set, origin, sweep }): Shown {
    if (action === 'schema') return { action, schema: sweep ? sweepEditorSchema() : configEditorSchema() }
    if (action === 'keys')
      return {
        action,
        keys: [...configKeys].map(([key, schema]) => ({
          key,
          accepts: expectation(schema),
          default: schema.default ?? null,
          help: schema.description ?? '',
        })),
      }
    const { config, source } = loadConfig(file ?? null, { sets: set })
    return {
      action,
      yaml: freezeConfig(config),
      hash: configHash(config),
      values: flattenConfig(config),
      origin: origin ? Object.fromEntries(source.origin) : null,
    }
  },
  print(shown, out) {
    switch (shown.action) {
      case 'print':
        if (shown.origin) {
          const { origin, values } = shown
          out.table({
            columns: [{ name: 'key', weight: 3 }, { name: 'value', weight: 2 }, { name: 'from' }],
            rows: Object.keys(origin).map((key): Cell[] => [key, JSON.stringify(values[key]), origin[key]]),
          })
        } else out.line(`# identity ${shown.hash}\n${shown.yaml.trimEnd()}`)
        return
      case 'schema':
        out.line(JSON.stringify(shown.schema, null, 2))
        return
      case 'keys':
        out.table({
          columns: [
            { name: 'key', weight: 9 },
            { name: 'default', weight: 5 },
            { name: 'accepts', weight: 3 },
            { name: 'help' },
          ],
          rows: shown.keys.map((k): Cell[] => [
            k.key,
            k.default === null ? '' : JSON.stringify(k.default),
            k.accepts,
            k.help,
          ]),
        })
        return
      default:
        shown satisfies never
    }
  },
})
