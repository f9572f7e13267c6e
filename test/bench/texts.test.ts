import { describe, expect, it } from 'vitest'
import { sizeNamed } from '../../lib/bench/sizes.ts'
import { batchTokens, type TextKind } from '../../lib/bench/texts.ts'

const [START, END] = [49406, 49407]

/** Each text up to its end token; what follows must be padding. */
function textsOf(name: string, batch: number, kind: TextKind): number[][] {
  const size = sizeNamed(name)
  const tokens = batchTokens(size, 'train', batch, kind)
  const length = size.config.model.text.contextLength
  return Array.from({ length: tokens.length / length }, (_, i) => {
    const row = tokens.slice(i * length, (i + 1) * length)
    const end = row.indexOf(END)
    expect(row.slice(end + 1).every((id) => id === 0)).toBe(true)
    return row.slice(0, end + 1)
  })
}

describe('texts of a measured batch', () => {
  it('are captions, each followed by the prompts of its nouns', () => {
    const texts = textsOf('scenes', 16, 'captions')
    expect(texts).toHaveLength(16 * 4)
    for (const text of texts) {
      expect([text[0], text.at(-1)]).toEqual([START, END])
      expect(text.length).toBeLessThanOrEqual(32)
    }
    const mean = texts.flat().length / texts.length
    expect(mean).toBeGreaterThan(7)
    expect(mean).toBeLessThan(12)
    expect(textsOf('scenes', 16, 'captions')).toEqual(texts)
  })

  it('or fill the context, and no two go on alike', () => {
    const texts = textsOf('vit-s', 8, 'long')
    expect(texts.map((text) => text.length)).toEqual(new Array(32).fill(77))
    expect(new Set(texts.map((text) => text[1])).size).toBeGreaterThan(30)
  })

  it('are not made for an evaluation', () => {
    expect(batchTokens(sizeNamed('scenes'), 'eval', 8, 'captions')).toEqual([])
  })
})
