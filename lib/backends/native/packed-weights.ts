import type { Addon } from './addon.ts'
import type { Buffers } from './buffers.ts'

/** The data of a tensor. Whether it is packed is kept in it: a table would have to be told of every tensor that goes. */
type Holder = { values: ArrayBufferView; packed?: Packed | null }
/** A weight [out, in] in the order in which products read it; without values it has been asked for once. */
export type Packed = { values: Float32Array | null; out: number; in: number }

/**
 * Weights that are used again and again without being written to (evaluation) are packed once: for one image of ViT-S
 * packing is a seventh of the time. A weight is packed where it lies, for a copy of all of them is a third of the memory of an
 * evaluation. Whoever asks for its `values` meanwhile, to read or to write, has them put back first. It is packed at its second use, so
 * that what is used once, or changes after each use, costs no time.
 */
export class PackedWeights {
  private readonly addon: Pick<Addon, 'weightPanel' | 'packWeight' | 'unpackWeight'>
  private readonly buffers: Pick<Buffers, 'owns' | 'take'>

  constructor(addon: PackedWeights['addon'], buffers: PackedWeights['buffers']) {
    this.addon = addon
    this.buffers = buffers
  }

  /** w [out, in] packed, or null where the product should pack it itself. */
  of(holder: Holder, shape: readonly number[]): Float32Array | null {
    const { packed } = holder
    const [out, into] = shape
    if (packed?.values) return packed.out === out && packed.in === into ? packed.values : null
    if (out % this.addon.weightPanel() !== 0) return null
    if (!packed) {
      holder.packed = { values: null, out, in: into }
      return null
    }
    const values = this.ownValues(holder)
    this.addon.packWeight(values, into, out)
    holder.packed = { values, out, in: into }
    const unpacked = () => {
      this.unpack(holder)
      return values
    }
    Object.defineProperty(holder, 'values', { get: unpacked, configurable: true, enumerable: true })
    return values
  }

  /** Puts the numbers of a weight back in their order; its next use is its first again. */
  unpack(holder: Holder): void {
    const { packed } = holder
    holder.packed = null
    if (!packed?.values) return
    const { values: value, in: into, out } = packed
    this.addon.unpackWeight(value, into, out)
    Object.defineProperty(holder, 'values', { value, writable: true, configurable: true, enumerable: true })
  }

  /** An array that tfjs was given is its maker's, who may read it or write to it behind our back: then a copy. */
  private ownValues(holder: Holder): Float32Array {
    const values = holder.values as Float32Array
    if (this.buffers.owns(values)) return values
    const own = this.buffers.take(values.length)
    own.set(values)
    holder.values = own
    return own
  }
}
