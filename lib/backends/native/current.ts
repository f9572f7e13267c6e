import { tf } from '../../tensor/tf.ts'
import type { NativeBackend } from './backend.ts'

/** The native backend if it is the current one: the ops of lib/tensor ask it for their fused kernels. */
export function nativeBackend(): NativeBackend | null {
  return tf.getBackend() === 'native' ? (tf.backend() as unknown as NativeBackend) : null
}
