export {
  type EncoderOptions,
  type EncoderWeights,
  encoderLayer,
  type Sequences,
  takesSequences,
} from './encoder-layer.ts'
export { valueAndGradients } from './gradients.ts'
export {
  type AdamWNumbers,
  adamwInPlace,
  adamwTableInPlace,
  liveValues,
  sumOfSquares,
  tensorFrom,
} from './in-place.ts'
export { type BackendName, openBackend } from './open.ts'
export * from './ops.ts'
export { type Params, type Tensor, tf, tidy } from './tf.ts'
