import { nativeBackend } from '../backends/native/current.ts'
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

/**
 * One AdamW step in place (Loshchilov & Hutter 2019, as torch.optim.AdamW computes it). `used`, one flag a row of a
 * table: rows without are known to have zero gradient and zero moments, so that decay is all that happens to them.
 */
export function adamwInPlace(arrays: AdamWArrays, numbers: AdamWNumbers, used: Uint8Array | null): void {
  const { parameter, first, second, gradient } = arrays
  const { gradientScale, learningRate, beta1, beta2, eps, correction1, correction2, decay } = numbers
  const [stepSize, inverse] = [learningRate / correction1, 1 / Math.sqrt(correction2)]
  const native = nativeBackend()
  if (native) {
    const { addon } = native
    addon.adamw(parameter, first, second, gradient, gradientScale, stepSize, beta1, beta2, eps, inverse, decay, used)
    return
  }
  const step = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      const g = gradient[i] * gradientScale
      const m = beta1 * first[i] + (1 - beta1) * g
      const v = beta2 * second[i] + (1 - beta2) * g * g
      first[i] = m
      second[i] = v
      parameter[i] = parameter[i] * decay - (stepSize * m) / (Math.sqrt(v) * inverse + eps)
    }
  }
  if (!used) {
    step(0, parameter.length)
    return
  }
  const width = parameter.length / used.length
  for (let row = 0; row < used.length; row++) {
    const [from, to] = [row * width, (row + 1) * width]
    if (used[row]) step(from, to)
    else if (decay !== 1) for (let i = from; i < to; i++) parameter[i] *= decay
  }
}
