export { valueAndGradients } from './gradients.ts'
export { type BackendName, type OpenedBackend, openBackend } from './open.ts'
export * from './ops.ts'
export { type Params, type Tensor, tf, tidy } from './tf.ts'
