import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { COMMANDS, nameOf } from './commands.ts'

const LISTS_OF_FIELDS: ReadonlySet<string> = new Set(['--cols', '--sort'])

/** What may stand at the place of the last of `words` (without `gvx`): commands, options, run names, config keys, experiments. */
export async function completions(words: readonly string[]): Promise<string[]> {
  const last = words.at(-1) ?? ''
  const before = words.at(-2) ?? ''
  const entry = COMMANDS.find((candidate) => nameOf(candidate) === words[0])
  const matching = (candidates: readonly string[]) => candidates.filter((word) => word.startsWith(last))
  if (words.length <= 1) return matching(COMMANDS.filter((c) => !c.hidden).map(nameOf))
  if (!entry) return []
  if (before === '--set') {
    const { configKeys } = await import('../config/keys.ts')
    return matching([...configKeys.keys()].map((key) => `${key}=`))
  }
  if (LISTS_OF_FIELDS.has(before)) return matching(await fieldsAfter(last))
  if (last.startsWith('-')) return matching(await optionsOf(entry))
  if (/[<[]runs?\b/.test(entry.usage)) return matching(['@last', '@best', ...runNames(homeOf(words))])
  if (/[<[](?:file|config)\b/.test(entry.usage)) {
    const { experimentsFolder } = await import('../config/load.ts')
    return matching(yamlFiles(experimentsFolder(), ''))
  }
  return []
}

async function optionsOf(entry: (typeof COMMANDS)[number]): Promise<string[]> {
  const { default: command } = await entry.load()
  const { default: yargs } = await import('yargs')
  const parser = command.builder ? command.builder(yargs()) : yargs()
  const own = Object.keys((parser as unknown as { getOptions(): { key: Record<string, unknown> } }).getOptions().key)
  const formats = command.kind ? ['json', 'csv', 'md', 'tex'] : []
  return [...new Set([...own, ...formats, 'home', 'help'])].map((name) => `--${name}`)
}

/** Fields of runs behind what stands of a list already: `status,+model.` */
async function fieldsAfter(last: string): Promise<string[]> {
  const [{ configKeys }, { COLUMN_NAMES }] = await Promise.all([
    import('../config/keys.ts'),
    import('../store/fields.ts'),
  ])
  const written = /^(.*,)?[+-]?/.exec(last)![0]
  return [...COLUMN_NAMES, ...configKeys.keys()].map((name) => `${written}${name}`)
}

function homeOf(words: readonly string[]): string {
  const at = words.indexOf('--home')
  const named = at < 0 ? words.find((word) => word.startsWith('--home='))?.slice('--home='.length) : words[at + 1]
  return resolve(named || process.env.GVX_HOME || '.')
}

function runNames(home: string): string[] {
  try {
    return readdirSync(join(home, 'runs')).filter((name) => /^run\d+$/.test(name))
  } catch {
    return []
  }
}

function yamlFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder ? `${folder}/${entry.name}` : entry.name
    return entry.isDirectory() ? yamlFiles(root, path) : path.endsWith('.yaml') ? [path] : []
  })
}
