import { openBackend } from '../../lib/tensor/index.ts'

export type TestedBackend = 'wasm' | 'cpu' | 'native'

/**
 * The backends a contract suite runs on: those that open on this machine, or the one that GVX_BACKEND names. `fast`
 * leaves out cpu, which is a hundred times slower than the others, unless it is asked for by name.
 */
export async function presentBackends({ fast = false } = {}): Promise<TestedBackend[]> {
  const asked = process.env.GVX_BACKEND as TestedBackend | undefined
  if (asked) return [asked]
  const native = await openBackend({ backend: 'native', threads: 1 }).then(
    () => true,
    () => false,
  )
  return [...(native ? ['native' as const] : []), 'wasm', ...(fast ? [] : ['cpu' as const])]
}
