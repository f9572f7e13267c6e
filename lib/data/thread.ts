import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * Starts the module `name` beside the module `base` in a thread. Compiled code starts it directly; from the sources
 * (tests, development) the thread registers tsx first.
 */
export function startThread(name: string, base: string, workerData: unknown): Worker {
  if (path.extname(fileURLToPath(base)) === '.js') return new Worker(new URL(`${name}.js`, base), { workerData })
  const source = new URL(`${name}.ts`, base)
  const tsx = path.dirname(createRequire(base).resolve('tsx/package.json'))
  const register = path.join(tsx, 'dist/esm/api/index.mjs')
  const boot = `import(${JSON.stringify(pathToFileURL(register))}).then((tsx) => { tsx.register(); return import('${source}') })`
  return new Worker(boot, { eval: true, workerData })
}
