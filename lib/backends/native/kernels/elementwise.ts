import type { NativeBackend } from '../backend.ts'
import { type Call, isFloat, type Kernel, sizeOf } from '../registry.ts'

/** Numbers of `enum class Unary` in src/isa.h. */
const UNARY = {
  Exp: 0,
  Sqrt: 1,
  Rsqrt: 2,
  Square: 3,
  Neg: 4,
  Sigmoid: 5,
  Relu: 6,
  Tanh: 7,
  Erf: 8,
  Abs: 9,
  Step: 10,
  Reciprocal: 11,
  Log: 14,
}

/** Numbers of `enum class Binary` in src/isa.h. */
const BINARY = { Add: 0, Sub: 1, Multiply: 2, RealDiv: 3, Maximum: 4, Minimum: 5, SquaredDifference: 6 }
export const GELU_GRAD = 7
export const QUICK_GELU_GRAD = 8
export const RELU_GRAD = 9

export const elementwise: Record<string, Kernel> = {
  ...Object.fromEntries(Object.entries(UNARY).map(([name, op]) => [name, unary(op)])),
  ...Object.fromEntries(Object.entries(BINARY).map(([name, op]) => [name, binary(op)])),
  AddN: addN,
}

function unary(op: number): Kernel {
  return ({ inputs: { x }, attrs, backend }) => {
    if (!isFloat(x)) return undefined
    const values = backend.values(x)
    const out = backend.buffers.take(values.length)
    backend.addon.unary(op, values, out, attrs?.alpha ?? 0)
    return backend.output(x.shape, out)
  }
}

function binary(op: number): Kernel {
  return ({ inputs: { a, b }, backend }) => {
    if (!isFloat(a) || !isFloat(b)) return undefined
    if (sameShape(a.shape, b.shape))
      return backend.output(a.shape, pairwise(backend, op, backend.values(a), backend.values(b)))
    const plan = planBroadcast(a.shape, b.shape)
    if (!plan) return undefined
    const out = backend.buffers.take(plan.size)
    if (plan.size > 0)
      backend.addon.binary(op, backend.values(a), backend.values(b), out, plan.axes, plan.aStrides, plan.bStrides)
    return backend.output(plan.shape, out)
  }
}

function sameShape(a: number[], b: number[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const ONE = Int32Array.of(1)

/** An operation on arrays of the same length, into a new array of the pool. */
export function pairwise(backend: NativeBackend, op: number, a: Float32Array, b: Float32Array): Float32Array {
  const out = backend.buffers.take(a.length)
  if (a.length > 0) backend.addon.binary(op, a, b, out, Int32Array.of(a.length), ONE, ONE)
  return out
}

function addN({ inputs, backend }: Call) {
  const tensors = Object.values(inputs)
  if (!tensors.every(isFloat)) return undefined
  const size = sizeOf(tensors[0].shape)
  const [axes, strides] = [Int32Array.of(size), Int32Array.of(1)]
  const out = backend.buffers.take(size)
  out.set(backend.values(tensors[0]))
  for (const tensor of tensors.slice(1))
    backend.addon.binary(BINARY.Add, out, backend.values(tensor), out, axes, strides, strides)
  return backend.output(tensors[0].shape, out)
}

type Plan = { shape: number[]; size: number; axes: Int32Array; aStrides: Int32Array; bStrides: Int32Array }
const plans = new Map<string, Plan>()

/**
 * Broadcasting as axes and strides, neighbouring axes merged where both operands allow: [B, N, C] + [C] is
 * [B·N, C] with strides [C, 1] and [0, 1]. Null when the shapes do not fit (the cpu kernel says so).
 */
function planBroadcast(a: number[], b: number[]): Plan | null {
  const key = `${a}|${b}`
  const known = plans.get(key)
  if (known) return known
  const rank = Math.max(a.length, b.length)
  const [left, right] = [a, b].map((s) => [...new Array<number>(rank - s.length).fill(1), ...s])
  if (left.some((n, i) => n !== right[i] && n !== 1 && right[i] !== 1)) return null
  const shape = left.map((n, i) => (n === 1 ? right[i] : n))
  const axes: { n: number; a: number; b: number }[] = [] // from the last axis to the first
  let [stepA, stepB] = [1, 1]
  for (let i = rank - 1; i >= 0; i--) {
    const axis = { n: shape[i], a: left[i] === 1 ? 0 : stepA, b: right[i] === 1 ? 0 : stepB }
    stepA *= left[i]
    stepB *= right[i]
    if (axis.n === 1) continue
    const inner = axes.at(-1)
    const continues = (outer: number, stride: number) => (stride === 0 ? outer === 0 : outer === stride * inner!.n)
    if (inner && continues(axis.a, inner.a) && continues(axis.b, inner.b)) inner.n *= axis.n
    else axes.push(axis)
  }
  if (axes.length === 0) axes.push({ n: 1, a: 1, b: 1 })
  axes.reverse()
  const of = (pick: (axis: (typeof axes)[number]) => number) => Int32Array.from(axes, pick)
  const plan = { shape, size: sizeOf(shape), axes: of((x) => x.n), aStrides: of((x) => x.a), bStrides: of((x) => x.b) }
  if (plans.size < 5000) plans.set(key, plan)
  return plan
}
