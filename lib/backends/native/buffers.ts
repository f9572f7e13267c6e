import type { Addon } from './addon.ts'
import { Arena } from './arena.ts'

/** Below this many numbers the JavaScript heap is as fast. */
const SMALL = 64
/** From this many numbers on memory is cut out of slabs. */
const LARGE = 16 * 1024
const LINE = 64

/**
 * Memory of tensors, used again: a fresh array of 12.8 MB costs 1.7 to 2.9 ms (the system must clear its pages), one
 * from here almost nothing. Small sizes are rounded up to eighths of a power of two and wait in lists; large ones are
 * cut out of slabs, so that what held activations holds gradients a moment later. Arrays begin at a cache line. At most
 * about `cap` bytes wait here, the rest is left to the collector.
 */
export class Buffers {
  private readonly waiting = new Map<number, Float32Array[]>()
  private readonly whole = new WeakMap<ArrayBufferLike, Float32Array>()
  private readonly arena: Arena
  private readonly addon: Pick<Addon, 'misalignment'>
  private readonly cap: number
  private readonly adopted = new WeakSet<ArrayBufferLike>()
  private smallBytes = 0

  constructor(addon: Pick<Addon, 'misalignment'>, cap: number) {
    this.addon = addon
    this.cap = cap
    this.arena = new Arena((bytes) => this.aligned(bytes / 4), cap)
  }

  /** An array of n numbers of any content. */
  take(n: number): Float32Array {
    if (n < SMALL) return new Float32Array(n)
    if (n >= LARGE) return this.arena.take(n)
    const capacity = roundUp(n)
    const found = this.waiting.get(capacity)?.pop()
    if (found) this.smallBytes -= found.byteLength
    const array = found ?? this.make(capacity)
    return n === capacity ? array : new Float32Array(array.buffer, array.byteOffset, n)
  }

  /** Takes an array back. Arrays from elsewhere are ignored. */
  give(values: unknown): void {
    if (!(values instanceof Float32Array)) return
    const array = this.whole.get(values.buffer)
    if (!array) {
      this.arena.give(values)
      return
    }
    if (this.pooledBytes + array.byteLength > this.cap) return
    this.smallBytes += array.byteLength
    const list = this.waiting.get(array.length)
    if (list) list.push(array)
    else this.waiting.set(array.length, [array])
  }

  /** Takes over an array that nobody else will use, without its memory: the collector has that when it is given back. */
  adopt(values: Float32Array): void {
    this.adopted.add(values.buffer)
  }

  /** Whether an array is this pool's to write to; it will be overwritten once its tensor is gone. */
  owns(values: unknown): boolean {
    if (!ArrayBuffer.isView(values)) return false
    return this.whole.has(values.buffer) || this.arena.owns(values) || this.adopted.has(values.buffer)
  }

  /** Bytes that wait to be used again. */
  get pooledBytes(): number {
    return this.smallBytes + this.arena.freeBytes
  }

  private make(capacity: number): Float32Array {
    const array = this.aligned(capacity)
    this.whole.set(array.buffer, array)
    return array
  }

  private aligned(length: number): Float32Array {
    const buffer = new ArrayBuffer(length * 4 + LINE)
    return new Float32Array(buffer, this.addon.misalignment(new Float32Array(buffer)), length)
  }
}

function roundUp(n: number): number {
  const step = 2 ** Math.max(4, Math.floor(Math.log2(n)) - 3)
  return Math.ceil(n / step) * step
}
