import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../../bin/gvx.js', import.meta.url))

export type Answer = { code: number | null; stdout: string; stderr: string }

/** Runs the built `gvx` as a person would. `npm test` builds it first. */
export function gvx(
  args: string[],
  options: { home?: string; env?: Record<string, string>; readBytes?: number } = {},
): Promise<Answer> {
  if (!existsSync(fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))))
    throw new Error('gvx is not built: npm run build')
  const { NO_COLOR: _1, FORCE_COLOR: _2, COLUMNS: _3, ...rest } = process.env
  const env = { ...rest, ...(options.home ? { GVX_HOME: options.home } : {}), ...options.env }
  const child = spawn(process.execPath, [BIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const answer: Answer = { code: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    answer.stdout += text
    if (options.readBytes !== undefined && answer.stdout.length >= options.readBytes) child.stdout.destroy()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    answer.stderr += text
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...answer, code })))
}
