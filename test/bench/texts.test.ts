import { describe, expect, it } from 'vitest'
import { sizeNamed } from '../../lib/bench/sizes.ts'
import { textsOf } from '../../lib/bench/texts.ts'

const [START, END] = [49406, 49407]

describe('texts of a measured batch', () => {
  it('are captions, each followed by the prompts of its nouns', () => {
    const texts = textsOf(sizeNamed('scenes'), 16, 'captions')
    expect(texts).toHaveLength(16 * 4)
    for (const text of texts) {
      expect([text[0], text.at(-1)]).toEqual([START, END])
      expect(text.length).toBeLessThanOrEqual(32)
    }
    const mean = texts.flat().length / texts.length
    expect(mean).toBeGreaterThan(7)
    expect(mean).toBeLessThan(12)
    expect(textsOf(sizeNamed('scenes'), 16, 'captions')).toEqual(texts)
  })

  it('or fill the context, and no two go on alike', () => {
    const texts = textsOf(sizeNamed('vit-s'), 8, 'long')
    expect(texts.map((text) => text.length)).toEqual(new Array(32).fill(77))
    expect(new Set(texts.map((text) => text[1])).size).toBeGreaterThan(30)
  })
})
