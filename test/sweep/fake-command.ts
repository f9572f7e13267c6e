import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

/**
 * Programs that tests start as processes of their own. They use the built gvx when it is up to date, which starts five
 * times as fast as the sources.
 */
const program = (file: string): string[] => [
  process.execPath,
  ...(built ? [] : ['--import', 'tsx']),
  join(import.meta.dirname, file),
  built ? join(root, 'dist') : join(root, 'lib'),
]

const root = resolve(import.meta.dirname, '../..')
const built = ['core', 'config', 'tensor', 'store', 'run', 'launch', 'sweep'].every((room) => {
  try {
    return newest(join(root, 'dist', room)) > newest(join(root, 'lib', room))
  } catch {
    return false
  }
})

function newest(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return Math.max(...files.map((file) => statSync(join(folder, file)).mtimeMs))
}

/** What the local launcher runs in place of `gvx worker`. */
export const FAKE_WORKER = program('fake-worker.mjs')
export const SUPERVISOR = program('supervisor.mjs')
