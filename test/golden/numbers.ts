import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Where the golden numbers are: those of the repository, or other ones of the same layout. */
const GOLDEN = process.env.GVX_GOLDEN ?? fileURLToPath(new URL('../fixtures/golden', import.meta.url))

export type GoldenTensor = { shape: number[]; data: Float32Array | Uint8Array }

export const hasGolden = (path: string): boolean => existsSync(`${GOLDEN}/${path}`)

export const goldenJson = <T>(path: string): T => JSON.parse(readFileSync(`${GOLDEN}/${path}`, 'utf8')) as T

/** The tensors of a golden file; read here and not by lib/tensor, so that a reader's bug cannot hide in both. */
export function goldenTensors(path: string): Map<string, GoldenTensor> {
  const bytes = readFileSync(`${GOLDEN}/${path}`)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  const tensors = new Map<string, GoldenTensor>()
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const raw = new Uint8Array(bytes.subarray(8 + length + data_offsets[0], 8 + length + data_offsets[1]))
    if (dtype !== 'F32' && dtype !== 'U8') continue
    tensors.set(name, { shape, data: dtype === 'U8' ? raw : new Float32Array(raw.buffer) })
  }
  return tensors
}
