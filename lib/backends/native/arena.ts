/** What a slab holds at least. Its pages cost nothing before they are written to. */
const SLAB_BYTES = 256 * 2 ** 20
/** Blocks begin and end at multiples of this. */
const STEP = 256

/** A stretch of a slab, in use or free. Neighbours know each other, so that free ones can be joined. */
type Block = { slab: Slab; from: number; bytes: number; free: boolean; before: Block | null; after: Block | null }
type Slab = {
  memory: Float32Array
  /** By the byte of the slab at which they begin. */
  blocks: Map<number, Block>
  /** Bytes that have ever been handed out: what lies behind has no pages yet. */
  touched: number
}

/**
 * Arrays of any size out of a few slabs: the smallest free stretch that is large enough, neighbours joined when they are
 * given back. Lists by size would keep what activations of one size have held from gradients of another.
 */
export class Arena {
  private readonly slabs = new Map<ArrayBufferLike, Slab>()
  private readonly free = new Set<Block>()
  private readonly allocate: (bytes: number) => Float32Array
  private readonly cap: number
  private bytes = 0

  /** `allocate` makes the memory of a slab; at most about `cap` bytes are kept free. */
  constructor(allocate: (bytes: number) => Float32Array, cap: number) {
    this.allocate = allocate
    this.cap = cap
  }

  /** An array of n numbers of any content. */
  take(n: number): Float32Array {
    const bytes = Math.ceil((n * 4) / STEP) * STEP
    const block = this.smallest(bytes) ?? this.newSlab(bytes)
    this.free.delete(block)
    block.free = false
    if (block.bytes > bytes) this.cut(block, bytes)
    const { slab, from } = block
    this.bytes -= Math.max(0, Math.min(slab.touched, from + bytes) - from)
    slab.touched = Math.max(slab.touched, from + bytes)
    return new Float32Array(slab.memory.buffer, slab.memory.byteOffset + from, n)
  }

  /** Takes an array back. Arrays from elsewhere are ignored. */
  give(values: Float32Array): void {
    const slab = this.slabs.get(values.buffer)
    const block = slab?.blocks.get(values.byteOffset - slab.memory.byteOffset)
    if (!slab || !block || block.free) return
    block.free = true
    this.bytes += block.bytes
    const { before, after } = block
    if (after?.free) this.join(block, after)
    const whole = before?.free ? this.join(before, block) : block
    this.free.add(whole)
    if (this.bytes > this.cap && whole.bytes === slab.memory.byteLength) this.drop(slab, whole)
  }

  owns(values: ArrayBufferView): boolean {
    return this.slabs.has(values.buffer)
  }

  /** Bytes that were handed out once and are free now. */
  get freeBytes(): number {
    return this.bytes
  }

  /** Of the free blocks that are large enough the smallest; one that has no pages yet only if there is no other. */
  private smallest(bytes: number): Block | null {
    let best: Block | null = null
    let least = Number.POSITIVE_INFINITY
    for (const block of this.free) {
      if (block.bytes < bytes) continue
      const fresh = Math.max(0, block.from + bytes - block.slab.touched)
      const cost = block.bytes + fresh * 2 ** 20
      if (cost < least) [best, least] = [block, cost]
    }
    return best
  }

  private newSlab(bytes: number): Block {
    const memory = this.allocate(Math.max(bytes, SLAB_BYTES))
    const slab: Slab = { memory, blocks: new Map(), touched: 0 }
    const block = { slab, from: 0, bytes: memory.byteLength, free: true, before: null, after: null }
    slab.blocks.set(0, block)
    this.slabs.set(memory.buffer, slab)
    return block
  }

  private cut(block: Block, bytes: number): void {
    const rest: Block = {
      slab: block.slab,
      from: block.from + bytes,
      bytes: block.bytes - bytes,
      free: true,
      before: block,
      after: block.after,
    }
    if (block.after) block.after.before = rest
    block.after = rest
    block.bytes = bytes
    block.slab.blocks.set(rest.from, rest)
    this.free.add(rest)
  }

  /** The right one becomes a part of the left one. */
  private join(left: Block, right: Block): Block {
    this.free.delete(right)
    right.slab.blocks.delete(right.from)
    left.bytes += right.bytes
    left.after = right.after
    if (right.after) right.after.before = left
    return left
  }

  private drop(slab: Slab, whole: Block): void {
    this.free.delete(whole)
    this.slabs.delete(slab.memory.buffer)
    this.bytes -= slab.touched
  }
}
