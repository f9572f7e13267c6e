import type { Params, Tensor } from '../tensor/index.ts'

/** A parameter by its full name. Throws when the tree has none: the tree and the config do not belong together. */
export function param(params: Params, name: string): Tensor {
  const tensor = params[name]
  if (!tensor) throw new Error(`there is no parameter ${name}`)
  return tensor
}
