import { type Call, isFloat, type Kernel, sizeOf } from '../registry.ts'

export const products: Record<string, Kernel> = {
  BatchMatMul: (call) => product(call, null),
  _FusedMatMul: (call) => {
    const { bias, preluActivationWeights } = call.inputs
    const { activation } = call.attrs
    if ((activation && activation !== 'linear') || preluActivationWeights) return undefined
    if (bias && (bias.shape.length !== 1 || !isFloat(bias))) return undefined
    return product(call, bias ? call.backend.values(bias) : null)
  },
}

/** a [..., M, K] @ b [..., K, N], either one transposed if asked for; leading axes equal, or all 1 in one operand. */
function product({ inputs: { a, b }, attrs, backend }: Call, bias: Float32Array | null) {
  if (!isFloat(a) || !isFloat(b)) return undefined
  const [rankA, rankB] = [a.shape.length, b.shape.length]
  const [rowsA, columnsA] = [a.shape[rankA - 2], a.shape[rankA - 1]]
  const [rowsB, columnsB] = [b.shape[rankB - 2], b.shape[rankB - 1]]
  const [m, k] = attrs.transposeA ? [columnsA, rowsA] : [rowsA, columnsA]
  const [kB, n] = attrs.transposeB ? [columnsB, rowsB] : [rowsB, columnsB]
  const [leadA, leadB] = [a.shape.slice(0, -2), b.shape.slice(0, -2)]
  const [countA, countB] = [sizeOf(leadA), sizeOf(leadB)]
  const same = leadA.length === leadB.length && leadA.every((d: number, i: number) => d === leadB[i])
  if (k !== kB || (!same && countA !== 1 && countB !== 1)) return undefined
  const lead = countA === 1 && countB !== 1 ? leadB : leadA
  const batch = sizeOf(lead)
  const out = backend.buffers.take(batch * m * n)
  // One matrix for the whole batch: its products are one tall product.
  const tall = countB === 1 && batch > 1 && !attrs.transposeA
  if (out.length > 0)
    backend.addon.gemm(
      backend.values(a),
      attrs.transposeA ? 1 : columnsA,
      attrs.transposeA ? columnsA : 1,
      countA === 1 ? 0 : m * k,
      backend.values(b),
      attrs.transposeB ? 1 : columnsB,
      attrs.transposeB ? columnsB : 1,
      countB === 1 ? 0 : k * n,
      out,
      tall ? 1 : batch,
      tall ? batch * m : m,
      n,
      k,
      bias,
    )
  return backend.output([...lead, m, n], out)
}
