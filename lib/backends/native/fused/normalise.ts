import type { Tensor } from '../../../tensor/tf.ts'
import type { NativeBackend } from '../backend.ts'
import { holdArray, holdTensor, record, taping, tensorOf } from '../tape.ts'

/** Over the last axis. x [..., C], g [C], b [C]. */
export function layerNorm(backend: NativeBackend, x: Tensor, g: Tensor, b: Tensor, eps: number): Tensor {
  const { addon, buffers } = backend
  const n = g.size
  const rows = x.size / n
  const [mean, rstd] = [buffers.take(rows), buffers.take(rows)]
  const out = buffers.take(x.size)
  addon.layerNorm(backend.values(x), backend.values(g), backend.values(b), out, mean, rstd, rows, n, eps)
  const y = tensorOf(backend, x.shape, out)
  const saved = [holdArray(backend, mean), holdArray(backend, rstd)]
  if (!taping()) {
    for (const held of saved) held.dispose()
    return y
  }
  saved.push(holdTensor(backend, x), holdTensor(backend, g))
  record('GvxLayerNorm', { x, g, b }, y, saved, (dy) => {
    const [dx, dg, db] = [buffers.take(x.size), buffers.take(n), buffers.take(n)]
    addon.layerNormGrad(backend.values(dy), backend.values(x), backend.values(g), mean, rstd, dx, dg, db, rows, n)
    const gradients = {
      x: tensorOf(backend, x.shape, dx),
      g: tensorOf(backend, [n], dg),
      b: tensorOf(backend, [n], db),
    }
    return { x: () => gradients.x, g: () => gradients.g, b: () => gradients.b }
  })
  return y
}

/** Of a training batch, x [N, C]; the biased variance of the batch, through which the gradient flows. */
export function batchNorm(backend: NativeBackend, x: Tensor, g: Tensor, b: Tensor, eps: number): Tensor {
  const { addon, buffers } = backend
  const [rows, n] = x.shape as [number, number]
  const [out, unit, inverse] = [buffers.take(x.size), buffers.take(x.size), buffers.take(n)]
  const [mean, variance] = [buffers.take(n), buffers.take(n)]
  const values = [x, g, b].map((t) => backend.values(t)) as [Float32Array, Float32Array, Float32Array]
  addon.batchNorm(...values, out, unit, inverse, mean, variance, rows, n, eps)
  buffers.give(mean)
  buffers.give(variance)
  const y = tensorOf(backend, x.shape, out)
  const saved = [holdArray(backend, unit), holdArray(backend, inverse)]
  if (!taping()) {
    for (const held of saved) held.dispose()
    return y
  }
  saved.push(holdTensor(backend, g))
  record('GvxBatchNorm', { x, g, b }, y, saved, (dy) => {
    const [dx, dg, db] = [buffers.take(x.size), buffers.take(n), buffers.take(n)]
    addon.batchNormGrad(backend.values(dy), unit, inverse, backend.values(g), dx, dg, db, rows, n)
    const gradients = {
      x: tensorOf(backend, x.shape, dx),
      g: tensorOf(backend, [n], dg),
      b: tensorOf(backend, [n], db),
    }
    return { x: () => gradients.x, g: () => gradients.g, b: () => gradients.b }
  })
  return y
}

/** x / |x| over the last axis; |x| is kept above 1e-12. */
export function l2Normalize(backend: NativeBackend, x: Tensor): Tensor {
  const { addon, buffers } = backend
  const n = x.shape[x.shape.length - 1]
  const rows = n === 0 ? 0 : x.size / n
  const [out, inverse] = [buffers.take(x.size), buffers.take(rows)]
  addon.l2Normalize(backend.values(x), out, inverse, rows, n, 1e-12)
  const y = tensorOf(backend, x.shape, out)
  if (!taping()) {
    buffers.give(inverse)
    return y
  }
  record('GvxL2Normalize', { x }, y, [holdTensor(backend, y), holdArray(backend, inverse)], (dy) => ({
    x: () => {
      const dx = buffers.take(x.size)
      addon.l2NormalizeGrad(backend.values(dy), out, inverse, dx, rows, n)
      return tensorOf(backend, x.shape, dx)
    },
  }))
  return y
}
