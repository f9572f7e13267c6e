import { nativeBackend } from '../backends/native/current.ts'
import { tensorOf } from '../backends/native/tape.ts'
import { wasmValues } from '../backends/wasm.ts'
import { type Tensor, tf } from './tf.ts'

/**
 * Work on the numbers of a tensor where they lie. Only the optimizer does this, a step of which over the embedding
 * table would otherwise allocate and copy it several times, and the sums of gradients.
 */

/** The live numbers of a float32 tensor to write to, or null where they live on a device. Not to be kept: memory moves. */
export function liveValues(tensor: Tensor): Float32Array | null {
  switch (tf.getBackend()) {
    case 'native':
      return nativeBackend()!.writable(tensor)
    case 'wasm':
      return wasmValues(tensor)
    case 'cpu':
      return tensor.dataSync() as Float32Array
    default:
      return null
  }
}

/** A tensor that takes an array over: whoever made it must not use it any more, for it may be written to. */
export function tensorFrom(values: Float32Array, shape: number[]): Tensor {
  const native = nativeBackend()
  if (!native) return tf.tensor(values, shape)
  native.buffers.adopt(values)
  return tensorOf(native, shape, values)
}

/** x += y where the backend's numbers can be written to and nobody shares those of x; says whether it was done. */
export const addInPlace = (x: Tensor, y: Tensor): boolean => nativeBackend()?.addInPlace(x, y) ?? false

/** Σ x². */
export function sumOfSquares(x: Tensor): number {
  const native = nativeBackend()
  if (native) return native.addon.sumOfSquares(native.values(x))
  const values = liveValues(x)
  if (!values) return tf.tidy(() => tf.sum(tf.square(x)).dataSync()[0])
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i]
  return sum
}

export type AdamWNumbers = {
  /** Factor on the gradient: what clipping leaves of it. */
  gradientScale: number
  learningRate: number
  beta1: number
  beta2: number
  eps: number
  /** 1 − β₁ᵗ and 1 − β₂ᵗ. */
  correction1: number
  correction2: number
  /** Factor on the parameter before the step: 1 − learning rate × weight decay. */
  decay: number
}

/** The numbers of a parameter, its two moments and its gradient. */
export type AdamWArrays = { parameter: Float32Array; first: Float32Array; second: Float32Array; gradient: Float32Array }

/** One AdamW step in place (Loshchilov & Hutter 2019, as torch.optim.AdamW computes it). */
export function adamwInPlace(arrays: AdamWArrays, numbers: AdamWNumbers): void {
  const { parameter, first, second, gradient } = arrays
  const native = nativeBackend()
  if (native) native.addon.adamw(parameter, first, second, gradient, ...constants(numbers))
  else adamw(arrays, numbers)
}

/**
 * The rows of a table: where row r has its moments, as a row of `first` and `second`, or -1 when it has never had a
 * gradient and only decays; and where it has its gradient in this step, or -1 for zero.
 */
export type TableRows = { moments: Int32Array; gradients: Int32Array }

/** One AdamW step over a table of which few rows have ever had a gradient. */
export function adamwTableInPlace(arrays: AdamWArrays, rows: TableRows, numbers: AdamWNumbers): void {
  const { parameter, first, second, gradient } = arrays
  const { moments, gradients } = rows
  const native = nativeBackend()
  if (native) {
    const { addon } = native
    addon.adamwTable(parameter, first, second, gradient, ...constants(numbers), moments, gradients)
    return
  }
  const width = parameter.length / moments.length
  const zeros = new Float32Array(width)
  const row = (array: Float32Array, at: number) => array.subarray(at * width, (at + 1) * width)
  moments.forEach((at, r) => {
    const own = row(parameter, r)
    if (at < 0) {
      if (numbers.decay !== 1) for (let i = 0; i < width; i++) own[i] *= numbers.decay
      return
    }
    const g = gradients[r] < 0 ? zeros : row(gradient, gradients[r])
    adamw({ parameter: own, first: row(first, at), second: row(second, at), gradient: g }, numbers)
  })
}

function adamw({ parameter, first, second, gradient }: AdamWArrays, numbers: AdamWNumbers): void {
  const [gradientScale, stepSize, beta1, beta2, eps, inverse, decay] = constants(numbers)
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i] * gradientScale
    const m = beta1 * first[i] + (1 - beta1) * g
    const v = beta2 * second[i] + (1 - beta2) * g * g
    first[i] = m
    second[i] = v
    parameter[i] = parameter[i] * decay - (stepSize * m) / (Math.sqrt(v) * inverse + eps)
  }
}

/** Factor on the gradient, step size, betas, eps, 1 / √(1 − β₂ᵗ), factor on the parameter: `struct AdamW` of src/isa.h. */
function constants(numbers: AdamWNumbers): [number, number, number, number, number, number, number] {
  const { gradientScale, learningRate, beta1, beta2, eps, correction1, correction2, decay } = numbers
  return [gradientScale, learningRate / correction1, beta1, beta2, eps, 1 / Math.sqrt(correction2), decay]
}
