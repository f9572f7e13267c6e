import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { openStore } from '../lib/store/open.ts'
import { refresh } from '../lib/store/status.ts'

/**
 * Executes the notebooks from top to bottom, as Jupyter would, and writes them with their outputs:
 * `npm run notebooks -- --home DIR` for the runs of another database. Needs Deno and Jupyter's nbclient (README.md here).
 */

const FOLDER = fileURLToPath(new URL('.', import.meta.url))

export const NOTEBOOKS = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.ipynb'))
  .map((file) => join(FOLDER, file))

type Tools = { deno: string; python: string }

/** Deno and a Python that has nbclient, or a sentence about what is missing. */
export function findTools(): Tools | string {
  const deno = [process.env.GVX_DENO, 'deno', join(FOLDER, '../node_modules/.bin/deno')].find(
    (command) => command && answers(command, ['--version']),
  )
  if (!deno) return 'Deno is not here: npm install --no-save deno, or say where it lies with GVX_DENO.'
  const python = [process.env.GVX_PYTHON, 'python3', '/usr/bin/python3'].find(
    (command) => command && answers(command, ['-c', 'import nbclient, nbformat']),
  )
  if (!python)
    return 'Jupyter is not here: apt-get install python3-nbclient or pip install nbclient, or name a Python that has it with GVX_PYTHON.'
  return { deno, python }
}

const answers = (command: string, args: readonly string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore', timeout: 60_000 }).status === 0

/**
 * Runs a notebook on the runs of `home` and writes it, outputs included, to `target`. The kernel is found in a
 * temporary folder, so that nothing has to be installed into Jupyter. Throws with Deno's words when a cell fails.
 */
export function executeNotebook(
  notebook: string,
  target: string,
  { deno, python, home, sweep }: Tools & { home: string; sweep?: string },
): void {
  const kernels = mkdtempSync(join(tmpdir(), 'gvx-kernel-'))
  try {
    mkdirSync(join(kernels, 'kernels/deno'), { recursive: true })
    writeFileSync(
      join(kernels, 'kernels/deno/kernel.json'),
      JSON.stringify({
        argv: [deno, 'jupyter', '--kernel', '--conn', '{connection_file}'],
        display_name: 'Deno',
        language: 'typescript',
      }),
    )
    const result = spawnSync(python, [join(FOLDER, 'execute.py'), notebook, target], {
      encoding: 'utf8',
      env: {
        ...process.env,
        JUPYTER_PATH: [kernels, process.env.JUPYTER_PATH].filter(Boolean).join(delimiter),
        GVX_HOME: resolve(home),
        ...(sweep === undefined ? {} : { GVX_SWEEP: sweep }),
        NO_COLOR: '1',
      },
    })
    if (result.error) throw result.error
    if (result.status !== 0) throw new Error(`${basename(notebook)}: ${result.stderr.trim()}`)
  } finally {
    rmSync(kernels, { recursive: true, force: true })
  }
}

/** The views of this version of gvx, with everything the logs say. */
export function bringUpToDate(home: string): void {
  const store = openStore(home, { warn: console.error })
  try {
    refresh(store, (dir, error) => console.error(`${dir} was left out: ${(error as Error).message}`))
  } finally {
    store.close()
  }
}

function main(): number {
  const { values } = parseArgs({ options: { home: { type: 'string' }, sweep: { type: 'string' } } })
  const home = values.home ?? process.env.GVX_HOME ?? '.'
  const tools = findTools()
  const missing =
    typeof tools === 'string' ? tools : !existsSync(join(home, 'runs.db')) && `There is no runs.db in ${home}.`
  if (missing || typeof tools === 'string') {
    console.error(missing)
    return 6
  }
  try {
    bringUpToDate(home)
    for (const notebook of NOTEBOOKS) {
      executeNotebook(notebook, notebook, { ...tools, home, sweep: values.sweep })
      console.log(`${basename(notebook)}: executed`)
    }
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return 1
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = main()
