import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Run } from '../store/runs.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export type CodeDifference = {
  a: string
  b: string
  /** One line for each commit between the two, and what they changed; null where git or the commits are not at hand. */
  commits: string[] | null
  files: string[] | null
  /** Uncommitted changes that each run was trained with; null for none. */
  dirty: [a: string | null, b: string | null]
}

/** How the code of two runs differs. */
export function codeDifference(home: string, a: Run, b: Run): CodeDifference {
  const [from, to] = [a.git.commit, b.git.commit]
  const between = isCommit(from) && isCommit(to) && from !== to ? `${from}..${to}` : null
  return {
    a: a.run,
    b: b.run,
    commits: from === to ? [] : between === null ? null : git('log', '--oneline', '--no-decorate', between),
    files: from === to ? [] : between === null ? null : git('diff', '--stat=100', between, '--'),
    dirty: [dirtyDiff(home, a), dirtyDiff(home, b)],
  }
}

/** A run folder may come from anywhere: nothing else goes to git. */
const isCommit = (text: string | null): text is string => /^[0-9a-f]{7,64}$/.test(text ?? '')

function git(...args: string[]): string[] | null {
  const result = spawnSync('git', ['--no-optional-locks', '--no-pager', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 10_000,
  })
  return result.status === 0 ? result.stdout.split('\n').filter(Boolean) : null
}

function dirtyDiff(home: string, run: Run): string | null {
  const file = join(home, 'runs', run.run, 'dirty.diff')
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}
