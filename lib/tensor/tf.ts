import tf from '@tensorflow/tfjs'

/** TensorFlow.js. Its Node bundle is CommonJS: one default import, functional ops only (the chained ones are not for this code). */
export { tf }

export type Tensor = tf.Tensor

/** Parameters and buffers by their Hugging Face names. Linear weights are [out, in]. */
export type Params = Record<string, Tensor>

/** tf.tidy for any result: frees what f made but the tensors it returns, wherever they stand in the result. */
export const tidy = <T>(f: () => T): T => tf.tidy(f as () => never) as T
