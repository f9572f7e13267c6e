import { type Tensor, tf } from '../../tensor/tf.ts'
import type { NativeBackend, TensorInfo } from './backend.ts'

/**
 * Ops that write themselves on tfjs's gradient tape. tfjs's own way (runKernel with a registered gradient, or
 * customGrad) costs several microseconds for each tensor that is saved, wants every by-product of a kernel to be an
 * output, and makes arrays of zeros for the gradients of those. These go straight to the addon and keep what they like.
 */

/** What is freed with a node of the tape, as tfjs frees a saved tensor. */
type Held = { dispose(): void }
type Gradients = Record<string, () => Tensor>
type TapeNode = {
  id: number
  kernelName: string
  inputs: Record<string, Tensor>
  outputs: Tensor[]
  saved: Held[]
  gradient(dys: (Tensor | null)[]): Gradients
}
/** The part of tfjs-core 4.22's engine that it takes. */
type Engine = {
  state: { activeTape: TapeNode[] | null; nextTapeNodeId: number; gradientDepth: number; kernelDepth: number }
  makeTensorFromTensorInfo(info: TensorInfo): Tensor
  removeDataId(id: object, backend: NativeBackend): void
}
const engine = () => tf.engine() as unknown as Engine

/** Whether a gradient will be asked for. */
export function taping(): boolean {
  const { state } = engine()
  return state.gradientDepth > 0 && state.kernelDepth === 0 && state.activeTape !== null
}

/** A tensor around an array of the pool. */
export const tensorOf = (backend: NativeBackend, shape: number[], values: Float32Array): Tensor =>
  engine().makeTensorFromTensorInfo(backend.output(shape, values))

/** Keeps the numbers of a tensor until the node is freed, whatever becomes of the tensor. */
export function holdTensor(backend: NativeBackend, { dataId }: Tensor): Held {
  ;(backend as unknown as { incRef(id: object): void }).incRef(dataId)
  return {
    dispose() {
      if (backend.disposeData(dataId)) engine().removeDataId(dataId, backend)
    },
  }
}

/** Keeps an array of the pool until the node is freed. */
export const holdArray = (backend: NativeBackend, values: Float32Array): Held => ({
  dispose: () => backend.buffers.give(values),
})

/** Writes an op with one output on the tape. The gradients must be new tensors. */
export function record(
  kernelName: string,
  inputs: Record<string, Tensor>,
  output: Tensor,
  saved: Held[],
  gradient: (dy: Tensor) => Gradients,
): void {
  const { state } = engine()
  state.activeTape!.push({
    id: state.nextTapeNodeId++,
    kernelName,
    inputs,
    outputs: [output],
    saved,
    gradient: ([dy]) => gradient(dy ?? tf.zerosLike(output)),
  })
}
