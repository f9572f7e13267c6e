import { tf } from '../../tensor/tf.ts'
import type { NativeBackend, TensorInfo } from './backend.ts'

export type Call = {
  // biome-ignore lint/suspicious/noExplicitAny: the inputs and attributes of tfjs kernels have a type for each kernel
  inputs: Record<string, any>
  // biome-ignore lint/suspicious/noExplicitAny: as above
  attrs: Record<string, any>
  backend: NativeBackend
}
/** Undefined: not for us (another dtype, an unusual axis), the cpu backend's kernel does it. */
export type Kernel = (call: Call) => TensorInfo | TensorInfo[] | undefined

/** Kernels that only make another name or shape for the same numbers. */
const FREE = new Set(['Identity', 'Reshape', 'Cast', 'ExpandDims'])

/** While it is set, the kernels of the cpu backend that ran, with the size of the largest tensor they read or made. */
let watched: Map<string, number> | null = null

/** What fell back to the cpu backend while f ran, by kernel: the size of the largest tensor in or out. */
export async function fallbacksOf(f: () => unknown): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  watched = found
  try {
    await f()
  } finally {
    watched = null
  }
  return found
}

/** Every kernel of the cpu backend also serves `native`: they only ask the backend for its arrays. Ours go first. */
export function registerKernels(kernels: Record<string, Kernel>): void {
  for (const cpu of tf.getKernelsForBackend('cpu')) {
    const own = kernels[cpu.kernelName]
    const fallback = FREE.has(cpu.kernelName) ? cpu.kernelFunc : watching(cpu)
    const kernelFunc = own ? (call: never) => own(call as Call) ?? fallback(call) : fallback
    tf.registerKernel({ ...cpu, backendName: 'native', kernelFunc: kernelFunc as tf.KernelFunc })
  }
}

function watching({ kernelName, kernelFunc }: tf.KernelConfig): tf.KernelFunc {
  return (call) => {
    const out = kernelFunc(call)
    if (watched) {
      const tensors = [...Object.values(call.inputs).flat(), ...[out].flat()] as (TensorInfo | undefined)[]
      const largest = tensors.reduce((most, t) => Math.max(most, t ? sizeOf(t.shape) : 0), 0)
      watched.set(kernelName, Math.max(largest, watched.get(kernelName) ?? 0))
    }
    return out
  }
}

export function sizeOf(shape: readonly number[], from = 0, to = shape.length): number {
  let n = 1
  for (let i = from; i < to; i++) n *= shape[i]
  return n
}

export const isFloat = (tensor: TensorInfo): boolean => tensor.dtype === 'float32'
