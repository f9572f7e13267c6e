import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Which code, which versions, which command made a run. */
export type Provenance = {
  argv: string[]
  /** Where it was started: relative paths of the configuration start here. */
  cwd: string
  git: { commit: string | null; dirty: boolean }
  versions: Record<string, string>
}

/** Beyond this a dirty diff is a build output or a data set, and only its beginning is kept. */
const DIFF_BYTES = 200_000

const packageRoot = fileURLToPath(new URL('../../', import.meta.url))

/** Provenance of code started with `argv`, and the uncommitted changes of the checkout, capped, or null. */
export async function readProvenance(argv: string[]): Promise<Provenance & { dirtyDiff: string | null }> {
  const commit = await git('rev-parse', 'HEAD')
  const status = commit === null ? null : await git('status', '--porcelain', '--untracked-files=no')
  const dirty = Boolean(status)
  const diff = dirty ? await git('diff', 'HEAD', '--no-ext-diff', '--no-textconv') : null
  const dirtyDiff = diff && diff.length > DIFF_BYTES ? `${diff.slice(0, DIFF_BYTES)}\n… cut\n` : diff
  return { argv, cwd: process.cwd(), git: { commit, dirty }, versions: versions(), dirtyDiff }
}

function versions(): Record<string, string> {
  const { version, dependencies } = JSON.parse(readFileSync(`${packageRoot}package.json`, 'utf8'))
  return {
    gvx: version,
    node: process.versions.node,
    tfjs: dependencies['@tensorflow/tfjs'],
    sharp: dependencies.sharp,
    platform: `${process.platform}-${process.arch}`,
  }
}

/** Output of git in the package's own checkout; null where gvx is installed from a registry or there is no git. */
async function git(...args: string[]): Promise<string | null> {
  try {
    const run = promisify(execFile)
    const options = { cwd: packageRoot, timeout: 10_000, maxBuffer: 64 << 20 }
    const fixed = ['--no-optional-locks', '-c', 'core.fsmonitor=false']
    const { stdout: prefix } = await run('git', [...fixed, 'rev-parse', '--show-prefix'], options)
    if (prefix.trim() !== '') return null // a folder inside somebody else's repository
    const { stdout } = await run('git', [...fixed, ...args], options)
    return stdout.trimEnd()
  } catch {
    return null
  }
}
