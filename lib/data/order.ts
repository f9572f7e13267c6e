import { randomStream } from '../core/rng.ts'

/**
 * The order of samples as a pure function of (seed, epoch, position): shards are permuted, neighbours in that order
 * form blocks of at least `shuffleBuffer` samples, and the samples of a block are permuted. So any position of any
 * epoch is found without reading what lies before it, and only one block's shards are touched at a time.
 */
export type OrderInput = {
  seed: number
  /** Samples of each shard. */
  counts: readonly number[]
  /** How many times an epoch sees each sample of the shard; a fraction is drawn anew in each epoch. */
  weights: readonly number[]
  /** Memory that reading the shard takes: its decompressed size, 0 where it is read in place. */
  bytes: readonly number[]
  shuffleBuffer: number
  batchSize: number
}

export type SampleRef = { shard: number; sample: number }
type Block = { shards: number[]; refs: SampleRef[] }

export type Order = {
  samplesPerEpoch: number
  /** Where sample `row` of the batch of `step` stands. */
  locate(step: number, row: number): { epoch: number; position: number }
  /** The block that holds a position and the position within it. */
  blockAt(epoch: number, position: number): { block: Block; index: number }
}

export function createOrder(input: OrderInput): Order {
  const { batchSize } = input
  const uses = input.counts.map((count, shard) => Math.round(count * input.weights[shard]))
  const samplesPerEpoch = uses.reduce((a, b) => a + b, 0)
  const stepsPerEpoch = Math.floor(samplesPerEpoch / batchSize)
  const planOf = remember(4, (epoch: number) => planEpoch(input, uses, epoch))
  const blockOf = remember(4, (epoch: number, number: number) => drawBlock(input, uses, epoch, number, planOf(epoch)))

  return {
    samplesPerEpoch,
    locate(step, row) {
      // Full batches only, so that no batch holds a sample twice; where the data is smaller than a batch it wraps.
      if (stepsPerEpoch > 0)
        return { epoch: Math.floor(step / stepsPerEpoch), position: (step % stepsPerEpoch) * batchSize + row }
      const at = step * batchSize + row
      return { epoch: Math.floor(at / samplesPerEpoch), position: at % samplesPerEpoch }
    },
    blockAt(epoch, position) {
      const plan = planOf(epoch)
      const number = plan.findLastIndex((block) => block.start <= position)
      return { block: blockOf(epoch, number), index: position - plan[number].start }
    },
  }
}

type PlannedBlock = { start: number; shards: number[] }

/** A block ends early when its compressed shards take this much memory. */
const MAX_BLOCK_BYTES = 2 ** 29

function planEpoch({ seed, shuffleBuffer, bytes }: OrderInput, uses: number[], epoch: number): PlannedBlock[] {
  const used = uses.flatMap((count, shard) => (count > 0 ? [shard] : []))
  const shards = randomStream(seed, 'shards', epoch).shuffle(used)
  const blocks: PlannedBlock[] = []
  let position = 0
  let inBlock = Number.POSITIVE_INFINITY
  let bytesInBlock = 0
  for (const shard of shards) {
    if (inBlock >= shuffleBuffer || bytesInBlock >= MAX_BLOCK_BYTES) {
      blocks.push({ start: position, shards: [] })
      inBlock = 0
      bytesInBlock = 0
    }
    blocks[blocks.length - 1].shards.push(shard)
    inBlock += uses[shard]
    bytesInBlock += bytes[shard]
    position += uses[shard]
  }
  return blocks
}

function drawBlock(input: OrderInput, uses: number[], epoch: number, number: number, plan: PlannedBlock[]): Block {
  const { shards } = plan[number]
  const refs = shards.flatMap((shard) => {
    const whole = Array.from({ length: input.counts[shard] }, (_, sample) => ({ shard, sample }))
    const repeated: SampleRef[] = []
    while (repeated.length + whole.length <= uses[shard]) repeated.push(...whole)
    const rest = uses[shard] - repeated.length
    if (rest > 0) repeated.push(...randomStream(input.seed, 'fraction', epoch, shard).shuffle(whole).slice(0, rest))
    return repeated
  })
  return { shards, refs: randomStream(input.seed, 'samples', epoch, number).shuffle(refs) }
}

/** Keeps the last few results of a function of numbers. */
function remember<T>(limit: number, compute: (...key: number[]) => T): (...key: number[]) => T {
  const kept = new Map<string, T>()
  return (...key) => {
    const name = key.join('/')
    const known = kept.get(name)
    if (known !== undefined) return known
    const value = compute(...key)
    kept.set(name, value)
    if (kept.size > limit) kept.delete(kept.keys().next().value!)
    return value
  }
}
