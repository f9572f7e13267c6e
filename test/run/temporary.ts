import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import type { NewRun } from '../../lib/run/folder.ts'

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'gvx-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

/** A run with the default configuration. */
export const newRun = (over: Partial<NewRun> = {}): NewRun => ({
  name: 'test',
  kind: 'train',
  configHash: 'hash',
  seed: 0,
  sweep: null,
  point: null,
  label: 'test',
  argv: ['gvx'],
  cwd: process.cwd(),
  git: { commit: null, dirty: false },
  versions: {},
  config: configSchema.parse({ train: { steps: 40 } }),
  ...over,
})
