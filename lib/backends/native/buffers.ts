import type { Addon } from './addon.ts'

/** Below this many numbers the JavaScript heap is as fast. */
const SMALL = 64
const LINE = 64

/**
 * Memory of tensors, used again: a fresh array of 12.8 MB costs 1.7 to 2.9 ms (the system must clear its pages), one
 * from here almost nothing. Sizes are rounded up to eighths of a power of two, so that batches with texts of different
 * lengths share memory; arrays begin at a cache line. At most `cap` bytes wait here, the rest is left to the collector.
 */
export class Buffers {
  private readonly waiting = new Map<number, Float32Array[]>()
  private readonly whole = new WeakMap<ArrayBufferLike, Float32Array>()
  private bytes = 0
  private readonly addon: Pick<Addon, 'misalignment'>
  private readonly cap: number

  constructor(addon: Pick<Addon, 'misalignment'>, cap: number) {
    this.addon = addon
    this.cap = cap
  }

  /** An array of n numbers of any content. */
  take(n: number): Float32Array {
    if (n < SMALL) return new Float32Array(n)
    const capacity = roundUp(n)
    const found = this.waiting.get(capacity)?.pop()
    if (found) this.bytes -= found.byteLength
    const array = found ?? this.make(capacity)
    return n === capacity ? array : new Float32Array(array.buffer, array.byteOffset, n)
  }

  /** Takes an array back. Arrays from elsewhere are ignored. */
  give(values: unknown): void {
    if (!(values instanceof Float32Array)) return
    const array = this.whole.get(values.buffer)
    if (!array || this.bytes + array.byteLength > this.cap) return
    this.bytes += array.byteLength
    const list = this.waiting.get(array.length)
    if (list) list.push(array)
    else this.waiting.set(array.length, [array])
  }

  /** Whether an array lies in memory of this pool, so that it will be overwritten once its tensor is gone. */
  owns(values: unknown): boolean {
    return ArrayBuffer.isView(values) && this.whole.has(values.buffer)
  }

  /** Bytes that wait to be used again. */
  get pooledBytes(): number {
    return this.bytes
  }

  private make(capacity: number): Float32Array {
    const buffer = new ArrayBuffer(capacity * 4 + LINE)
    const offset = this.addon.misalignment(new Float32Array(buffer))
    const array = new Float32Array(buffer, offset, capacity)
    this.whole.set(buffer, array)
    return array
  }
}

function roundUp(n: number): number {
  const step = 2 ** Math.max(4, Math.floor(Math.log2(n)) - 3)
  return Math.ceil(n / step) * step
}
