import { beforeAll, describe, expect, it } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { encodeTokens, initParams, type Tokens, tokensOf } from '../../lib/model/index.ts'
import { joinTexts } from '../../lib/model/text.ts'
import { openBackend, type Params, tf } from '../../lib/tensor/index.ts'
import { nativeBuilt } from '../backends/native-built.ts'

const END = 59
const LENGTH = 9
const { model } = configSchema.parse({
  model: { text: { width: 16, depth: 2, numHeads: 2, contextLength: LENGTH, vocabSize: END + 1 } },
})

/** Texts of few words, so that beginnings and whole texts come again. */
function texts(count: number): number[][] {
  const { int } = randomStream(1, 'texts')
  return Array.from({ length: count }, () => [
    END - 1,
    ...Array.from({ length: int(LENGTH - 2) }, () => 1 + int(2)),
    END,
  ])
}

const tokensFrom = (all: number[][]): Tokens => {
  const padded = new Int32Array(all.length * LENGTH)
  for (const [i, text] of all.entries()) padded.set(text, i * LENGTH)
  return tokensOf(padded, LENGTH)
}

describe('texts that begin alike', () => {
  it('are put together from the rows of their sequences, and no row is there twice', () => {
    const all = texts(60)
    const { ids, places, ends, sequences } = joinTexts(tokensFrom(all))
    const { starts, prefixes, prefixStarts, longest } = sequences
    const between = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
    const paths = between(0, starts.length - 1).map((s) => [
      ...prefixes.subarray(prefixStarts[s], prefixStarts[s + 1]),
      ...between(starts[s], starts[s + 1]),
    ])
    const spelled = new Map(paths.map((path) => [path.at(-1)!, path.map((row) => ids[row])]))
    expect([...ends].map((row) => spelled.get(row))).toEqual(all)
    for (const path of paths) expect(path.map((row) => places[row])).toEqual(between(0, path.length))
    expect(longest).toBe(Math.max(...all.map((text) => text.length)))
    const beginnings = new Set(all.flatMap((text) => text.map((_, t) => text.slice(0, t + 1).join())))
    expect(ids.length).toBe(beginnings.size)
    expect(starts.at(-1)).toBe(ids.length)
    expect(ids.length).toBeLessThan(all.flat().length / 2)
  })

  it('one text is as it is', () => {
    const { ids, places, ends, sequences } = joinTexts(tokensFrom([[END - 1, 3, 3, END]]))
    expect([...ids]).toEqual([END - 1, 3, 3, END])
    expect([...places]).toEqual([0, 1, 2, 3])
    expect([...ends]).toEqual([3])
    expect([...sequences.starts]).toEqual([0, 4])
    expect(sequences.prefixes).toHaveLength(0)
  })
})

describe.skipIf(!nativeBuilt())('the text tower on the native backend', () => {
  let params: Params
  beforeAll(async () => {
    await openBackend({ backend: 'native', threads: 2 })
    params = initParams(model, 3)
  })

  it('gives each text of a batch, to the bit, what it gives the text alone', () => {
    const all = texts(40)
    const featuresOf = (some: number[][]) => [
      ...tf.tidy(() => encodeTokens(params, model, tokensFrom(some)).pooled).dataSync(),
    ]
    const together = featuresOf(all)
    expect(together).toEqual(all.flatMap((text) => featuresOf([text])))
    expect(new Set(together).size).toBeGreaterThan(together.length / 4)
  })
})
