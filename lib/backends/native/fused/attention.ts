import type { Tensor } from '../../../tensor/tf.ts'
import type { NativeBackend } from '../backend.ts'
import { holdArray, holdTensor, record, taping, tensorOf } from '../tape.ts'

export type AttentionOptions = { heads: number; scale: number; causal?: boolean }

/**
 * Multi-head attention. q [B, N, C], k and v [B, M, C] -> [B, N, C]. The weights [B, H, N, M] are never in memory: one
 * head at a time stays in the cache, and the backward pass computes it again from the logarithms of the row sums.
 */
export function attention(backend: NativeBackend, q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const { addon, buffers } = backend
  const { heads, scale, causal = false } = options
  const [batch, queries, channels] = q.shape as [number, number, number]
  const keys = k.shape[1]!
  const shape = [batch, heads, queries, keys, channels / heads, scale, causal ? 1 : 0] as const
  const backward = taping()
  const logSum = backward ? buffers.take(batch * heads * queries) : null
  const out = buffers.take(q.size)
  addon.attention(...shape, backend.values(q), backend.values(k), backend.values(v), out, logSum)
  const y = tensorOf(backend, q.shape, out)
  if (!logSum) return y
  const saved = [holdTensor(backend, q), holdTensor(backend, k), holdTensor(backend, v), holdArray(backend, logSum)]
  record('GvxAttention', { q, k, v }, y, saved, (dy) => {
    const [dq, dk, dv] = [q, k, v].map((t) => buffers.take(t.size))
    const inputs = [dy, q, k, v].map((t) => backend.values(t)) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    addon.attentionGrad(...shape, ...inputs, logSum, dq, dk, dv)
    const gradients = {
      q: tensorOf(backend, q.shape, dq),
      k: tensorOf(backend, k.shape, dk),
      v: tensorOf(backend, v.shape, dv),
    }
    return { q: () => gradients.q, k: () => gradients.k, v: () => gradients.v }
  })
  return y
}
