export { valueAndGradients } from './gradients.ts'
export * from './ops.ts'
export { type Params, type Tensor, tf } from './tf.ts'
