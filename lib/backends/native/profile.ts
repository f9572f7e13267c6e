import type { Addon } from './addon.ts'

/** Kinds of kernels, in the order of `enum class Profiled` in src/profile.h. */
const KINDS = [
  'products',
  'packing',
  'attention',
  'attention, backward',
  'norms',
  'softmax',
  'element-wise',
  'reductions',
  'transposes',
  'AdamW',
] as const

export type KernelCost = {
  kernel: string
  calls: number
  /** Of all threads together. */
  seconds: number
  /** Additions and multiplications; an exponential counts as 20. */
  operations: number
  /** Read and written, each number once. */
  bytes: number
}

export type Profile = {
  kernels: KernelCost[]
  /** Time that the calling thread spent in C++, kernels or not. The rest is JavaScript. */
  insideSeconds: number
}

/** What the kernels cost while f runs. */
export async function profiled(addon: Addon, f: () => Promise<void>): Promise<Profile> {
  const counts = new Float64Array(4 * KINDS.length + 1)
  addon.profile(1)
  try {
    await f()
    addon.readProfile(counts)
  } finally {
    addon.profile(0)
  }
  const kernels = KINDS.map((kernel, i) => {
    const [calls, seconds, operations, bytes] = counts.subarray(4 * i)
    return { kernel, calls, seconds, operations, bytes }
  })
  return { kernels, insideSeconds: counts[counts.length - 1] }
}
