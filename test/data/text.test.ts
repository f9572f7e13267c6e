import { describe, expect, it } from 'vitest'
import { randomStream } from '../../lib/core/rng.ts'
import { readCaptions } from '../../lib/data/captions.ts'
import { nounPrompts, nounsOf } from '../../lib/data/nouns.ts'
import { fillTemplate, TEMPLATES } from '../../lib/data/templates.ts'

describe('nouns', () => {
  const caption = 'A man is riding two brown horses on Brighton’s beach'
  it('are what the tags say', () => {
    expect(nounsOf(caption, 'nouns')).toEqual(['man', 'horses', 'Brighton', 'beach'])
    expect(nounsOf(caption, 'reference')).toEqual(['man', 'is', 'riding', 'horses', 'Brighton', 'beach'])
    expect(nounsOf('a striped red star beside an old wooden fire hydrant', 'phrases')).toEqual([
      'striped red star',
      'old wooden fire hydrant',
    ])
  })
  it('of scenes are the things and the stuff', () => {
    const nouns = nounsOf('a striped yellow square above a heart on a brick wall', 'nouns')
    for (const word of ['square', 'heart', 'brick', 'wall']) expect(nouns).toContain(word)
  })
  it('of strange captions are a list', () => {
    for (const text of ['', '!!!', '日本 の 写真', 'constructor __proto__ toString', 'x'.repeat(5000)])
      expect(Array.isArray(nounsOf(text, 'reference'))).toBe(true)
  })
})

describe('noun prompts', () => {
  const prompts = (caption: string, count: number, seed = 0) =>
    nounPrompts(caption, nounsOf(caption, 'nouns'), count, TEMPLATES.single, randomStream(seed))
  it('are drawn without replacement', () => {
    for (let seed = 0; seed < 20; seed++) {
      const drawn = prompts('a cat, a dog and a bird', 3, seed)
      expect([...drawn].sort()).toEqual(['a photo of a bird.', 'a photo of a cat.', 'a photo of a dog.'])
    }
    expect(new Set(Array.from({ length: 20 }, (_, seed) => prompts('a cat and a dog', 1, seed)[0])).size).toBe(2)
  })
  it('are filled up with the caption', () => {
    expect(prompts('a cat', 3)).toEqual(['a photo of a cat.', 'a cat', 'a cat'])
    expect(prompts('a cat', 0)).toEqual([])
  })
})

describe('prompt templates', () => {
  it('are 1, 7 and 80 different ones with one place each', () => {
    expect(Object.values(TEMPLATES).map((list) => new Set(list).size)).toEqual([1, 7, 80])
    for (const template of Object.values(TEMPLATES).flat()) expect(template.split('{}')).toHaveLength(2)
    expect(fillTemplate('a {}.', '$& {}')).toBe('a $& {}.')
  })
})

describe('captions', () => {
  const read = (text: string | null, json: unknown) =>
    readCaptions(
      text === null ? null : Buffer.from(text),
      json === undefined ? null : Buffer.from(JSON.stringify(json)),
    )
  it('are those of the .json where it lists several, else the text', () => {
    expect(read('one', { captions: ['a', 'b'] })).toEqual(['a', 'b'])
    expect(read('one', { caption: 'other', url: 'x' })).toEqual(['one'])
    expect(read(null, { caption: 'other' })).toEqual(['other'])
    expect(read(null, { sentences: [{ raw: 'a' }, { raw: ' b ' }] })).toEqual(['a', 'b'])
    expect(read(null, ['a', '', 'b'])).toEqual(['a', 'b'])
  })
  it('that are empty or unreadable are faults', () => {
    expect(() => read(' \n', undefined)).toThrow('the caption is empty')
    expect(() => read(null, { a: 1 })).toThrow('the caption is empty')
    expect(() => readCaptions(null, Buffer.from('{'))).toThrow('is not JSON')
  })
})
