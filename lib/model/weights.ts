import type { ModelConfig } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { StoredTensor } from '../tensor/safetensors.ts'
import { MULTI_LABEL_SCALE } from './names.ts'
import { parameterSpecs } from './parameters.ts'

/**
 * The weights a model needs out of a file, in the order of a checkpoint, checked name by name and shape by shape. The
 * scale of the multi-label loss and the batch counters, which not every file has, begin anew. Throws a UserError.
 */
export function takeWeights(
  model: ModelConfig,
  found: ReadonlyMap<string, StoredTensor>,
  source: string,
): Map<string, StoredTensor> {
  const taken = new Map<string, StoredTensor>()
  for (const { name, shape, initial } of parameterSpecs(model)) {
    const tensor = found.get(name)
    if (!tensor) {
      if (initial.kind === 'constant' && (name === MULTI_LABEL_SCALE || name.endsWith('.num_batches_tracked'))) {
        taken.set(name, { dtype: 'F32', shape, data: Float32Array.of(initial.value) })
        continue
      }
      throw new UserError(`${printable(source)} has no ${name}.`, {
        hint: 'the file is incomplete, or of another model',
      })
    }
    if (tensor.shape.join() !== shape.join())
      throw new UserError(
        `${name} of ${printable(source)} has the shape [${tensor.shape.join(', ')}], and the model needs [${shape.join(', ')}].`,
      )
    if (!tensor.data.every(Number.isFinite))
      throw new UserError(`${name} of ${printable(source)} holds numbers that are not finite.`)
    taken.set(name, tensor)
  }
  return taken
}
