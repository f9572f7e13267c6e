import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createOrder, type OrderInput } from '../../lib/data/order.ts'

const inputs: fc.Arbitrary<OrderInput> = fc
  .record({
    seed: fc.nat(1000),
    counts: fc.array(fc.nat(12), { minLength: 1, maxLength: 8 }).filter((counts) => counts.some((n) => n > 0)),
    shuffleBuffer: fc.integer({ min: 1, max: 40 }),
    batchSize: fc.integer({ min: 1, max: 9 }),
  })
  .map((input) => ({ ...input, weights: input.counts.map(() => 1), bytes: input.counts.map(() => 0) }))

function sampleAt(order: ReturnType<typeof createOrder>, epoch: number, position: number): string {
  const { block, index } = order.blockAt(epoch, position)
  return `${block.refs[index].shard}/${block.refs[index].sample}`
}
const epochOf = (input: OrderInput, epoch: number): string[] => {
  const order = createOrder(input)
  return Array.from({ length: order.samplesPerEpoch }, (_, position) => sampleAt(order, epoch, position))
}

describe('the order of samples', () => {
  it('shows every sample once an epoch', () => {
    fc.assert(
      fc.property(inputs, fc.nat(3), (input, epoch) => {
        const all = input.counts.flatMap((count, shard) => Array.from({ length: count }, (_, i) => `${shard}/${i}`))
        expect(epochOf(input, epoch).sort()).toEqual(all.sort())
      }),
      { numRuns: 60 },
    )
  })

  it('is the same from wherever it is asked', () => {
    fc.assert(
      fc.property(inputs, fc.nat(3), fc.nat(1000), (input, epoch, at) => {
        const whole = epochOf(input, epoch)
        const position = at % whole.length
        expect(sampleAt(createOrder(input), epoch, position)).toBe(whole[position])
      }),
      { numRuns: 60 },
    )
  })

  it('never holds a sample twice in a batch where the data is larger than one', () => {
    fc.assert(
      fc.property(inputs, fc.nat(50), (input, step) => {
        const order = createOrder(input)
        fc.pre(order.samplesPerEpoch >= input.batchSize)
        const batch = Array.from({ length: input.batchSize }, (_, row) => {
          const { epoch, position } = order.locate(step, row)
          return sampleAt(order, epoch, position)
        })
        expect(new Set(batch).size).toBe(input.batchSize)
      }),
      { numRuns: 60 },
    )
  })

  it('differs by epoch and seed', () => {
    const input = { seed: 1, counts: [50, 50], weights: [1, 1], bytes: [0, 0], shuffleBuffer: 1000, batchSize: 4 }
    expect(epochOf(input, 0)).not.toEqual(epochOf(input, 1))
    expect(epochOf(input, 0)).not.toEqual(epochOf({ ...input, seed: 2 }, 0))
  })

  it('counts a source as often as its weight says', () => {
    const input = {
      seed: 1,
      counts: [10, 10, 10],
      weights: [2, 1, 0.3],
      bytes: [0, 0, 0],
      shuffleBuffer: 100,
      batchSize: 4,
    }
    const times = (epoch: number, shard: number) => epochOf(input, epoch).filter((name) => name.startsWith(`${shard}/`))
    expect([0, 1, 2].map((shard) => times(0, shard).length)).toEqual([20, 10, 3])
    expect(new Set(times(0, 0)).size).toBe(10)
    expect(new Set(times(0, 2)).size).toBe(3)
    const seen = new Set(Array.from({ length: 20 }, (_, epoch) => times(epoch, 2)).flat())
    expect(seen.size).toBe(10)
  })

  it('touches few shards at a time', () => {
    const counts = Array.from({ length: 40 }, () => 100)
    const order = createOrder({
      seed: 0,
      counts,
      weights: counts.map(() => 1),
      bytes: counts.map(() => 0),
      shuffleBuffer: 300,
      batchSize: 10,
    })
    expect(order.blockAt(0, 0).block.shards).toHaveLength(3)
    expect(order.blockAt(0, 3999).block.refs.length).toBeLessThanOrEqual(300)
  })

  it('ends a block early when its shards fill the memory', () => {
    const input = { seed: 0, counts: [5, 5, 5, 5], weights: [1, 1, 1, 1], shuffleBuffer: 1000, batchSize: 2 }
    const order = createOrder({ ...input, bytes: [2 ** 29, 2 ** 29, 2 ** 29, 2 ** 29] })
    expect(order.blockAt(0, 0).block.shards).toHaveLength(1)
  })
})
