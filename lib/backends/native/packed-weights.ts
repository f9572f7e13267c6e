import type { Addon } from './addon.ts'
import type { Buffers } from './buffers.ts'

/** A weight in the order in which products read it; without values it has been asked for once. */
export type Packed = { values: Float32Array | null; out: number; in: number }
/** The data of a tensor. What belongs to it is kept in it: a table would have to be told of every tensor that goes. */
type Holder = { values: ArrayBufferView; packed?: Packed | null }

/** With more rows than these, packing is below 3 % of the product, and a second copy of the weights costs memory. */
const FEW_ROWS = 1024
/** What is kept at most. ViT-S has 85 MB of weights in its image tower. */
const CAP = 256 * 2 ** 20

/**
 * Weights that are used again and again without being written to (evaluation) are packed once: for one image of ViT-S
 * packing is a seventh of the time. A weight is kept from its second use on, so that what is used once, or changes after
 * each use, costs no memory; `forget` must be called before its numbers are written to, and when they are given back.
 */
export class PackedWeights {
  private readonly addon: Pick<Addon, 'packedWeightFloats' | 'packWeight'>
  private readonly buffers: Buffers
  private readonly cap: number
  private bytes = 0

  constructor(addon: Pick<Addon, 'packedWeightFloats' | 'packWeight'>, buffers: Buffers, cap = CAP) {
    this.addon = addon
    this.buffers = buffers
    this.cap = cap
  }

  /** The packed form of w [out, in] for a product with `rows` rows, or null where the product should pack it itself. */
  of(holder: Holder & { values: Float32Array }, shape: readonly number[], rows: number): Float32Array | null {
    const { packed } = holder
    const [out, into] = shape
    if (packed?.values && packed.out === out && packed.in === into) return packed.values
    if (rows > FEW_ROWS || packed?.values) return null
    if (!packed) {
      holder.packed = { values: null, out, in: into }
      return null
    }
    const n = this.addon.packedWeightFloats(into, out)
    if (this.bytes + 4 * n > this.cap) return null
    // An array that tfjs was given is its maker's, who may write to it behind our back.
    if (!this.buffers.owns(holder.values)) {
      const own = this.buffers.take(holder.values.length)
      own.set(holder.values)
      holder.values = own
    }
    const values = this.buffers.take(n)
    this.addon.packWeight(holder.values, into, out, values)
    holder.packed = { values, out, in: into }
    this.bytes += values.byteLength
    return values
  }

  /** Gives back what was kept of a weight: its numbers will change, or are gone. */
  forget(holder: Holder): void {
    const values = holder.packed?.values
    holder.packed = null
    if (!values) return
    this.bytes -= values.byteLength
    this.buffers.give(values)
  }
}
