import { tf } from '../../../tensor/tf.ts'
import { type Call, isFloat, type Kernel, sizeOf } from '../registry.ts'

/** Numbers of `enum class Reduction` in src/ops.h. */
const [SUM, MEAN, MAX] = [0, 1, 2]

export const reductions: Record<string, Kernel> = {
  Sum: ({ inputs, attrs, backend }) => reduce(SUM, inputs.x, attrs.axis, attrs.keepDims, backend),
  Mean: ({ inputs, attrs, backend }) => reduce(MEAN, inputs.x, attrs.axis, attrs.keepDims, backend),
  Max: ({ inputs, attrs, backend }) => reduce(MAX, inputs.x, attrs.reductionIndices, attrs.keepDims, backend),
  ArgMax: argMax,
  Softmax: softmax,
}

function reduce(
  kind: number,
  x: Call['inputs'][string],
  axis: number | number[] | undefined,
  keepDims: boolean,
  backend: Call['backend'],
) {
  if (!isFloat(x)) return undefined
  const shape: number[] = x.shape
  const axes = tf.util.parseAxisParam(axis ?? (null as never), shape).sort((a, b) => a - b)
  if (axes.length === 0 || axes.some((a, i) => a !== axes[0] + i)) return undefined
  const [first, end] = [axes[0], axes[0] + axes.length]
  const [outer, reduced, inner] = [sizeOf(shape, 0, first), sizeOf(shape, first, end), sizeOf(shape, end)]
  if (reduced === 0) return undefined
  const out = backend.buffers.take(outer * inner)
  if (out.length > 0) backend.addon.reduce(kind, backend.values(x), out, outer, reduced, inner)
  const kept = keepDims ? axes.map(() => 1) : []
  return backend.output([...shape.slice(0, first), ...kept, ...shape.slice(end)], out)
}

function argMax({ inputs: { x }, attrs: { axis }, backend }: Call) {
  if (!isFloat(x)) return undefined
  const shape: number[] = x.shape
  const [along] = tf.util.parseAxisParam(axis, shape)
  const [outer, reduced, inner] = [sizeOf(shape, 0, along), shape[along], sizeOf(shape, along + 1)]
  if (reduced === 0) return undefined
  const out = new Int32Array(outer * inner)
  backend.addon.argmax(backend.values(x), out, outer, reduced, inner)
  const newShape = shape.filter((_, i) => i !== along)
  return { dataId: backend.write(out, newShape, 'int32'), shape: newShape, dtype: 'int32' as const }
}

function softmax({ inputs: { logits }, attrs: { dim }, backend }: Call) {
  const shape: number[] = logits.shape
  if (!isFloat(logits) || (dim !== -1 && dim !== shape.length - 1)) return undefined
  const n = shape[shape.length - 1]
  const values = backend.values(logits)
  const out = backend.buffers.take(values.length)
  if (out.length > 0) backend.addon.softmax(values, out, values.length / n, n, 1)
  return backend.output(shape, out)
}
