import { createRequire } from 'node:module'
import util from 'node:util'
import { messageOf } from '../core/errors.ts'
import { tf } from '../tensor/tf.ts'

export type Opened = { available: true; device: string; gpu: boolean } | { available: false; reason: string }

/** The optional @tensorflow/tfjs-node-gpu: libtensorflow, on a GPU where CUDA is found and on the CPU elsewhere. */
export async function openNodeGpu(): Promise<Opened> {
  const require = createRequire(import.meta.url)
  try {
    require.resolve('@tensorflow/tfjs-node-gpu')
  } catch {
    return { available: false, reason: '@tensorflow/tfjs-node-gpu is not installed' }
  }
  // Node 24 has dropped two old functions of util that the package still calls.
  const old = util as unknown as Record<string, unknown>
  old.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined
  old.isArray ??= Array.isArray
  try {
    require('@tensorflow/tfjs-node-gpu')
    if (!(await tf.setBackend('tensorflow'))) return { available: false, reason: 'its backend did not start' }
  } catch (error) {
    return { available: false, reason: messageOf(error).split('\n')[0] }
  }
  const gpu = (tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice
  return { available: true, gpu, device: gpu ? 'GPU (TensorFlow)' : 'CPU (TensorFlow, no usable GPU)' }
}
