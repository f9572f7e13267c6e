import type { ModelConfig } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { interpolatePositions } from '../nn/position.ts'
import { type Params, tf, tidy } from '../tensor/index.ts'
import type { StoredTensor } from '../tensor/safetensors.ts'
import { IMAGE_POSITIONS } from './names.ts'
import { initParams } from './parameters.ts'

/**
 * New parameters that begin as the weights found elsewhere: whatever has the same name and shape is taken, the positions
 * of another image size are interpolated, the rest begins as always. Returns the names that were not found.
 *
 * @throws UserError when nothing fits
 */
export function startFrom(
  model: ModelConfig,
  seed: number,
  found: ReadonlyMap<string, StoredTensor>,
  source: string,
): { params: Params; fresh: string[] } {
  const params = initParams(model, seed)
  const fresh: string[] = []
  for (const [name, own] of Object.entries(params)) {
    const tensor = found.get(name)
    const taken = tensor && (fits(tensor, own.shape) ?? (name === IMAGE_POSITIONS ? onGrid(tensor, own.shape) : null))
    if (!taken) {
      fresh.push(name)
      continue
    }
    params[name] = tf.tensor(taken, own.shape)
    own.dispose()
  }
  if (fresh.length === Object.keys(params).length)
    throw new UserError(`no weight of ${printable(source)} fits the model.`, {
      hint: 'gvx compare shows how the configurations differ',
    })
  return { params, fresh }
}

const fits = ({ shape, data }: StoredTensor, wanted: readonly number[]) =>
  shape.join() === wanted.join() ? data : null

/** Positions [1, n·n, C] on the grid of another image size, if they have as many channels. */
function onGrid({ shape, data }: StoredTensor, wanted: readonly number[]): Float32Array | null {
  if (shape.length !== 3 || shape[2] !== wanted[2]) return null
  const side = Math.round(Math.sqrt(wanted[1]))
  return tidy(() => interpolatePositions(tf.tensor(data, shape), [side, side]).dataSync().slice() as Float32Array)
}
