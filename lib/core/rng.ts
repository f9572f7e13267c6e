/**
 * Counter-based random numbers: a stream is a pure function of its key, so nothing has to be saved to resume one.
 * `randomStream(seed, 'gumbel', step, row)` gives the same numbers on every machine, in every process and in any order.
 * Only 32-bit integer arithmetic touches the state, so the uniform numbers are equal to the bit on every engine.
 */
export type RandomStream = {
  /** U[0, 1), 32 bits of resolution. */
  uniform(): number
  /** N(0, 1) by Box–Muller. */
  normal(): number
  /** An integer of [0, n). */
  int(n: number): number
  /** One of the items. Throws on an empty list. */
  pick<T>(items: readonly T[]): T
  /** A new list in random order (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[]
}

export type RandomKey = number | string

/** A stream for this key. Keys that differ in any part give independent streams. */
export function randomStream(seed: number, ...key: RandomKey[]): RandomStream {
  let a = hashKey(seed, key)
  let b = hashKey(seed ^ 0x5bd1e995, key)
  // sfc32-like mixing over two hashed words and a counter: passes the usual statistical tests, cheap in JavaScript
  let c = 0x9e3779b9
  let counter = 1
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  const uniform = () => next() / 4294967296
  const int = (n: number) => Math.floor(uniform() * n)
  return {
    uniform,
    int,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
    pick: (items) => {
      if (items.length === 0) throw new Error('pick: the list is empty')
      return items[int(items.length)]
    },
    shuffle: (items) => {
      const out = [...items]
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(i + 1)
        ;[out[i], out[j]] = [out[j], out[i]]
      }
      return out
    },
  }
}

function hashKey(seed: number, key: readonly RandomKey[]): number {
  let h = mix(seed | 0, 0x811c9dc5)
  for (const part of key) {
    if (typeof part === 'number') {
      h = mix(part | 0, h)
      h = mix(Math.floor(part / 4294967296) | 0, h)
    } else {
      for (let i = 0; i < part.length; i++) h = mix(part.charCodeAt(i), h)
    }
    h = mix(0x2545f491, h) // the end of a part, so that ('ab', 'c') and ('a', 'bc') differ
  }
  return h
}

/** One round of murmur3's finaliser over (value, state). */
function mix(value: number, state: number): number {
  let h = Math.imul(value ^ 0x27d4eb2f, 0xcc9e2d51)
  h = (h << 15) | (h >>> 17)
  h = state ^ Math.imul(h, 0x1b873593)
  h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  return h | 0
}
