import { fork, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EXIT, messageOf, UserError } from '../core/errors.ts'
import { databaseFile, networkFileSystem, openStore } from '../store/open.ts'
import { formatBytes } from '../tui/format.ts'
import { defineCommand } from './command.ts'

type State = 'ok' | 'note' | 'problem'
type Finding = { what: string; state: State; text: string; advice: string | null }

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A checkpoint of the paper's model with its optimizer state has some 700 MB. */
const LITTLE_DISK = 2e9

export default defineCommand<unknown, { findings: Finding[]; backend: string | null }>({
  kind: 'doctor',
  async run(_args, { home, setExit }) {
    const backends = await examineBackends()
    const findings = [
      examineNode(),
      ...backends.findings,
      await examineSharp(),
      ...examineHome(home),
      examineDatabase(home),
      examineTerminal(),
      examineData(home),
    ]
    if (findings.some((finding) => finding.state === 'problem')) setExit(EXIT.environment)
    return { findings, backend: backends.chosen }
  },
  print({ findings, backend }, out) {
    const sign = { ok: '✓', note: '·', problem: '✗' }
    const wide = Math.max(...findings.map((finding) => finding.what.length))
    for (const { what, state, text, advice } of findings) {
      out.line(`${sign[state]} ${out.bold(what.padEnd(wide))}  ${text}`)
      if (advice) out.line(`  ${' '.repeat(wide)}  → ${advice}`)
    }
    out.line()
    out.line(backend ? `gvx trains with ${backend} here.` : 'gvx cannot train here.')
  },
})

const finding = (what: string, state: State, text: string, advice: string | null = null): Finding => ({
  what,
  state,
  text,
  advice,
})

function examineNode(): Finding {
  const [major, minor] = process.versions.node.split('.').map(Number)
  const good = major > 20 || (major === 20 && minor >= 19)
  const text = `${process.versions.node}, ${availableParallelism()} cores, ${formatBytes(totalmem())} memory`
  return good ? finding('Node', 'ok', text) : finding('Node', 'problem', text, 'gvx needs Node 20.19 or later')
}

const BACKENDS = ['node-gpu', 'native', 'wasm'] as const
type Opened = { works: boolean; text: string; hint?: string }

async function examineBackends(): Promise<{ findings: Finding[]; chosen: string | null }> {
  const opened = await Promise.all(BACKENDS.map(tryBackend))
  const gpu = graphicsCard()
  const findings = BACKENDS.map((name, i): Finding => {
    const { works, text, hint } = opened[i]
    if (works) return finding(name, 'ok', text)
    const state: State = name === 'wasm' ? 'problem' : 'note'
    if (name === 'native') {
      const reasonFile = join(ROOT, 'build/gvx_native.txt')
      const reason = existsSync(reasonFile) ? readFileSync(reasonFile, 'utf8').trim().split('\n')[0] : text
      return finding(name, state, reason, 'install g++ and run npm rebuild: it is several times faster than wasm')
    }
    const advice = name === 'node-gpu' && !gpu ? null : (hint ?? null)
    return finding(name, state, text.split('\n')[0], advice)
  })
  findings.push(finding('GPU', 'note', gpu ?? 'none found by nvidia-smi'))
  const gpuWorks = opened[0].works && /gpu/i.test(opened[0].text) && !/no gpu|cpu/i.test(opened[0].text)
  const chosen = gpuWorks ? 'node-gpu' : opened[1].works ? 'native' : opened[2].works ? 'wasm' : null
  return { findings, chosen }
}

function tryBackend(name: string): Promise<Opened> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const child = fork(fileURLToPath(new URL(`./doctor-backend.${extension}`, import.meta.url)), [name], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' },
  })
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
    child.on('message', (message) => resolve(message as Opened))
    child.on('error', (error) => resolve({ works: false, text: messageOf(error) }))
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      resolve({ works: false, text: `opening it ended the process (${signal ?? code})` })
    })
  })
}

function graphicsCard(): string | null {
  const result = spawnSync('nvidia-smi', ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'], {
    encoding: 'utf8',
    timeout: 10_000,
  })
  return result.status === 0 ? result.stdout.trim().split('\n').join('; ') : null
}

async function examineSharp(): Promise<Finding> {
  try {
    const { default: sharp } = await import('sharp')
    return finding('images', 'ok', `sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`)
  } catch (error) {
    return finding('images', 'problem', `sharp does not load: ${messageOf(error).split('\n')[0]}`, 'npm rebuild sharp')
  }
}

function examineHome(home: string): Finding[] {
  let folder = home
  while (!existsSync(folder)) folder = dirname(folder)
  let rights = finding('home', 'ok', home)
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch {
    rights = finding('home', 'problem', `${home} is not writable`, '--home or GVX_HOME names another directory')
  }
  const network = networkFileSystem(folder)
  if (network)
    rights = finding(
      'home',
      'note',
      `${home} is on ${network}`,
      'GVX_DB names a place on a local disk for the database',
    )
  const disk = statfsSync(folder)
  const free = disk.bavail * disk.bsize
  return [
    rights,
    free < LITTLE_DISK
      ? finding('disk', 'problem', `${formatBytes(free)} free`, 'checkpoints need room: free some')
      : finding('disk', 'ok', `${formatBytes(free)} free`),
  ]
}

function examineDatabase(home: string): Finding {
  const file = databaseFile(home)
  if (!existsSync(file)) return finding('database', 'note', 'none yet', 'the first sweep makes it')
  try {
    const store = openStore(home)
    const sqlite = store.db.prepare('SELECT sqlite_version()').pluck().get()
    const runs = store.db.prepare('SELECT count(*) FROM runs').pluck().get()
    store.close()
    return finding('database', 'ok', `${runs} runs, SQLite ${sqlite}`)
  } catch (error) {
    return finding('database', 'problem', messageOf(error), error instanceof UserError ? (error.hint ?? null) : null)
  }
}

function examineTerminal(): Finding {
  const { stdout } = process
  if (!stdout.isTTY) return finding('terminal', 'note', 'the output is no terminal: plain lines')
  const unicode = /utf-?8/i.test(process.env.LC_ALL || process.env.LC_CTYPE || process.env.LANG || '')
  const text = `${stdout.columns} × ${stdout.rows}, ${stdout.getColorDepth()} bits of colour${unicode ? '' : ', no UTF-8'}`
  return unicode
    ? finding('terminal', 'ok', text)
    : finding('terminal', 'note', text, 'charts need UTF-8: export LANG=C.UTF-8')
}

function examineData(home: string): Finding {
  const folder = join(home, 'data')
  const scenes = existsSync(folder) ? readdirSync(folder).filter((name) => /^scenes-\w+-\d+-\w+$/.test(name)) : []
  return scenes.length > 0
    ? finding('data', 'ok', `built-in scenes: ${scenes.join(', ')}`)
    : finding('data', 'note', 'no built-in scenes yet', 'the first sweep makes them')
}
