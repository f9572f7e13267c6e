import type { Tensor } from '../../../tensor/tf.ts'
import type { NativeBackend } from '../backend.ts'
import { checkIds } from '../kernels/shapes.ts'
import { sizeOf } from '../registry.ts'
import { holdArray, holdTensor, record, taping, tensorOf } from '../tape.ts'

/** softmax over any axis. */
export function softmaxAxis(backend: NativeBackend, x: Tensor, axis: number): Tensor {
  const { addon, buffers } = backend
  const along = axis < 0 ? axis + x.rank : axis
  const shape = [sizeOf(x.shape, 0, along), x.shape[along], sizeOf(x.shape, along + 1)] as const
  const out = buffers.take(x.size)
  if (x.size > 0) addon.softmax(backend.values(x), out, ...shape)
  const y = tensorOf(backend, x.shape, out)
  if (!taping()) return y
  record('GvxSoftmax', { x }, y, [holdTensor(backend, y)], (dy) => ({
    x: () => {
      const dx = buffers.take(x.size)
      if (x.size > 0) addon.softmaxGrad(backend.values(dy), out, dx, ...shape, 1)
      return tensorOf(backend, x.shape, dx)
    },
  }))
  return y
}

export type AssignOptions = { mode: 'hard' | 'soft'; temperature: number; noise?: Tensor | null }

/** logits [B, G, N] -> softmax over G of (logits + noise) / temperature, or its one-hot with the softmax's gradient. */
export function assignGroups(backend: NativeBackend, logits: Tensor, options: AssignOptions): Tensor {
  const { addon, buffers } = backend
  const { mode, temperature, noise = null } = options
  const [batch, groups, tokens] = logits.shape as [number, number, number]
  const soft = buffers.take(logits.size)
  const hard = mode === 'hard' ? buffers.take(logits.size) : null
  const added = noise ? backend.values(noise) : null
  addon.assign(backend.values(logits), added, soft, hard, batch, groups, tokens, temperature)
  const y = tensorOf(backend, logits.shape, hard ?? soft)
  if (!taping()) {
    if (hard) buffers.give(soft)
    return y
  }
  record('GvxAssignGroups', { logits }, y, [hard ? holdArray(backend, soft) : holdTensor(backend, y)], (dy) => ({
    logits: () => {
      const dx = buffers.take(logits.size)
      if (dx.length > 0) addon.softmaxGrad(backend.values(dy), soft, dx, batch, groups, tokens, 1 / temperature)
      return tensorOf(backend, logits.shape, dx)
    },
  }))
  return y
}

/** Mean over the rows of −Σ targets · log softmax(logits); both [N, M]. */
export function crossEntropy(backend: NativeBackend, logits: Tensor, targets: Tensor): Tensor {
  const { addon, buffers } = backend
  const [rows, n] = logits.shape as [number, number]
  const probabilities = buffers.take(logits.size)
  const loss = buffers.take(1)
  loss[0] = addon.crossEntropy(backend.values(logits), backend.values(targets), probabilities, rows, n)
  const y = tensorOf(backend, [], loss)
  const saved = [holdArray(backend, probabilities)]
  if (!taping()) {
    saved[0].dispose()
    return y
  }
  record('GvxCrossEntropy', { logits }, y, [...saved, holdTensor(backend, targets)], (dy) => ({
    logits: () => {
      const dx = buffers.take(logits.size)
      const factor = backend.values(dy)[0] / rows
      addon.crossEntropyGrad(probabilities, backend.values(targets), factor, dx, rows, n)
      return tensorOf(backend, logits.shape, dx)
    },
  }))
  return y
}

/** Rows of table [V, C] by ids of any shape -> [...ids, C]. */
export function embed(backend: NativeBackend, table: Tensor, ids: Tensor): Tensor {
  const { addon, buffers } = backend
  const [rows, width] = table.shape as [number, number]
  const numbers = backend.values(ids) as unknown as Int32Array
  checkIds(numbers, rows)
  const out = buffers.take(ids.size * width)
  if (out.length > 0) addon.gather(backend.values(table), numbers, out, width)
  const y = tensorOf(backend, [...ids.shape, width], out)
  if (!taping()) return y
  record('GvxEmbed', { table }, y, [holdTensor(backend, ids)], (dy) => ({
    table: () => {
      const gradient = buffers.take(table.size).fill(0)
      if (out.length > 0) addon.scatterAdd(backend.values(dy), numbers, gradient, rows, width)
      return tensorOf(backend, table.shape, gradient)
    },
  }))
  return y
}
