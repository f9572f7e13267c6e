export { attention } from './attention.ts'
export { assignGroups, crossEntropy, embed, softmaxAxis } from './choose.ts'
export { linear } from './linear.ts'
export { batchNorm, l2Normalize, layerNorm } from './normalise.ts'
