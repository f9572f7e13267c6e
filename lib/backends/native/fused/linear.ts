import type { Tensor } from '../../../tensor/tf.ts'
import type { NativeBackend } from '../backend.ts'
import { GELU_GRAD, pairwise, QUICK_GELU_GRAD, RELU_GRAD } from '../kernels/elementwise.ts'
import { holdArray, holdTensor, record, taping, tensorOf } from '../tape.ts'

/** Numbers of `enum class Activation` in src/isa.h. */
export const ACTIVATION = { none: 0, relu: 1, gelu: 2, quickGelu: 3 }
const ACTIVATION_GRAD = { relu: RELU_GRAD, gelu: GELU_GRAD, quickGelu: QUICK_GELU_GRAD }
export type Activation = keyof typeof ACTIVATION_GRAD

/** x [..., I] @ wᵀ + b, activation; w [O, I]. One pass: bias and activation are applied while a tile is in the cache. */
export function linear(
  backend: NativeBackend,
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  activation?: Activation,
): Tensor {
  const { addon, buffers } = backend
  const [o, i] = w.shape as [number, number]
  const rows = x.size / i
  const backward = taping()
  const pre = backward && activation ? buffers.take(rows * o) : null
  const out = buffers.take(rows * o)
  const bias = b ? backend.values(b) : null
  const packed = backward ? null : backend.packed(w)
  const act = ACTIVATION[activation ?? 'none']
  addon.linear(rows, i, o, act, backend.values(x), packed ?? backend.values(w), bias, pre, out, packed)
  const y = tensorOf(backend, [...x.shape.slice(0, -1), o], out)
  if (!backward) return y
  const saved = [holdTensor(backend, x), holdTensor(backend, w)]
  if (pre) saved.push(holdArray(backend, pre))
  record('GvxLinear', b ? { x, w, b } : { x, w }, y, saved, (dy) => {
    const d = activation ? throughActivation(backend, dy, pre!, ACTIVATION_GRAD[activation]) : dy
    return {
      x: () => product(backend, x.shape, d, o, 1, backend.values(w), i, 1, rows, i, o), // [R, I] <- [R, O] @ [O, I]
      w: () => product(backend, w.shape, d, 1, o, backend.values(x), i, 1, o, i, rows), // [O, I] <- [R, O]ᵀ @ [R, I]
      b: () => columnSum(backend, d, rows, o),
    }
  })
  return y
}

/** dy · activation'(pre); the tidy around the node frees it. */
const throughActivation = (backend: NativeBackend, dy: Tensor, pre: Float32Array, op: number): Tensor =>
  tensorOf(backend, dy.shape, pairwise(backend, op, backend.values(dy), pre))

function product(
  backend: NativeBackend,
  shape: number[],
  a: Tensor,
  aRow: number,
  aColumn: number,
  b: Float32Array,
  bRow: number,
  bColumn: number,
  m: number,
  n: number,
  k: number,
): Tensor {
  const out = backend.buffers.take(m * n)
  backend.addon.gemm(backend.values(a), aRow, aColumn, 0, b, bRow, bColumn, 0, out, 1, m, n, k, null)
  return tensorOf(backend, shape, out)
}

function columnSum(backend: NativeBackend, d: Tensor, rows: number, n: number): Tensor {
  const out = backend.buffers.take(n)
  backend.addon.reduce(0, backend.values(d), out, 1, rows, n)
  return tensorOf(backend, [n], out)
}
