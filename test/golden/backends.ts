import { openBackend } from '../../lib/tensor/index.ts'

export type TestedBackend = 'wasm' | 'cpu' | 'native'

/** The backends a contract suite runs on: those that open on this machine, or the one that GVX_BACKEND names. */
export async function presentBackends(): Promise<TestedBackend[]> {
  const asked = process.env.GVX_BACKEND as TestedBackend | undefined
  if (asked) return [asked]
  const native = await openBackend({ backend: 'native', threads: 1 }).then(
    () => true,
    () => false,
  )
  return native ? ['native', 'wasm', 'cpu'] : ['wasm', 'cpu']
}
