import { totalmem } from 'node:os'
import { tf } from '../../tensor/tf.ts'
import { loadAddon } from './addon.ts'
import { createBackend } from './backend.ts'
import { Buffers } from './buffers.ts'
import { elementwise } from './kernels/elementwise.ts'
import { products } from './kernels/products.ts'
import { reductions } from './kernels/reductions.ts'
import { shapes } from './kernels/shapes.ts'
import { registerKernels } from './registry.ts'

export type NativeOpened =
  | { available: true; device: string; threads: number; isa: string }
  | { available: false; reason: string }

/**
 * Opens the native backend for the process and makes it the current one. `threads` 0 means the cores that this process
 * may use. Where nothing was built it says why. Opening again changes the number of threads.
 */
export async function openNative({ threads }: { threads: number }): Promise<NativeOpened> {
  const loaded = loadAddon()
  if ('reason' in loaded) return { available: false, reason: loaded.reason }
  const { addon } = loaded
  const cores = addon.cores()
  const used = threads > 0 ? Math.min(threads, 256) : cores
  addon.setThreads(used)
  if (!tf.findBackendFactory('native')) {
    const buffers = new Buffers(addon, Math.min(4 * 2 ** 30, totalmem() / 4))
    tf.registerBackend('native', () => createBackend(addon, buffers))
    registerKernels({ ...elementwise, ...products, ...reductions, ...shapes })
  }
  await tf.setBackend('native')
  const isa = addon.isa()
  return { available: true, device: `CPU (${isa}, ${used} thread${used === 1 ? '' : 's'})`, threads: used, isa }
}
