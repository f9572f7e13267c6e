import { cpus } from 'node:os'
import { openCpu } from '../backends/cpu.ts'
import { openNative } from '../backends/native/index.ts'
import { openNodeGpu } from '../backends/node-gpu.ts'
import { openWasm } from '../backends/wasm.ts'
import { EXIT, UserError } from '../core/errors.ts'

export type BackendName = 'auto' | 'node-gpu' | 'native' | 'wasm' | 'cpu'

type OpenedBackend = {
  name: Exclude<BackendName, 'auto'>
  /** What computes, in words: the device that is really used. */
  device: string
  threads: number
  /** Why `auto` passed over a faster backend; empty when one was asked for by name. */
  notes: string[]
}

/**
 * Opens a backend for the process and makes it the current one. `auto`: node-gpu if it has a GPU, then native, then
 * wasm, which always works; cpu only by name. `threads` 0 means all cores. Throws a UserError (exit code 6) when the
 * backend that was asked for cannot be opened. Prints nothing.
 */
export async function openBackend(options: { backend: BackendName; threads: number }): Promise<OpenedBackend> {
  const { threads } = options
  switch (options.backend) {
    case 'auto':
      return openBest(threads)
    case 'node-gpu': {
      const opened = await openNodeGpu()
      if (!opened.available) throw unavailable('node-gpu', opened.reason)
      return { name: 'node-gpu', device: opened.device, threads: threads || cpus().length, notes: [] }
    }
    case 'native': {
      const opened = await openNative({ threads })
      if (!opened.available) throw unavailable('native', opened.reason)
      return { name: 'native', device: opened.device, threads: opened.threads, notes: [] }
    }
    case 'wasm':
      return openStock('wasm', [])
    case 'cpu':
      return openStock('cpu', [])
    default:
      return options.backend satisfies never
  }
}

async function openBest(threads: number): Promise<OpenedBackend> {
  const notes: string[] = []
  const gpu = await openNodeGpu()
  if (gpu.available && gpu.gpu)
    return { name: 'node-gpu', device: gpu.device, threads: threads || cpus().length, notes }
  notes.push(`node-gpu: ${gpu.available ? gpu.device : gpu.reason}`)
  const native = await openNative({ threads })
  if (native.available) return { name: 'native', device: native.device, threads: native.threads, notes }
  notes.push(`native: ${native.reason}`)
  return openStock('wasm', notes)
}

async function openStock(name: 'wasm' | 'cpu', notes: string[]): Promise<OpenedBackend> {
  if (name === 'wasm') await openWasm()
  else await openCpu()
  return { name, device: name === 'wasm' ? 'CPU (WebAssembly SIMD)' : 'CPU (JavaScript)', threads: 1, notes }
}

const unavailable = (name: string, reason: string) =>
  new UserError(`The backend ${name} cannot be opened: ${reason}.`, {
    hint: 'gvx doctor says what it found and what to do; --backend wasm always works',
    exitCode: EXIT.environment,
  })
