import type { RandomStream } from '../../core/rng.ts'
import type { Thing } from './shapes.ts'
import type { Color, Stuff, Texture } from './textures.ts'

/** Probability that a noun gets its colour, and then that a texture is named too. */
const ATTRIBUTE = 0.6
const TEXTURE = 0.6
/** Probability that the stuff is named. At 1 every other seed of one stage misnames the stuff (docs/lab-log.md). */
const PLACE = 0.6

const OPENINGS = ['', '', '', 'a photo of ', 'there is ', 'a picture of ', 'we see '] as const

type Described = { thing: Thing; color: Color; texture: Texture; x: number; y: number }

/** A sentence that names every object, and often the stuff: `a striped yellow square above a red circle on grass`. */
export function captionOf(stuff: Stuff, objects: Described[], random: RandomStream): string {
  const order = random.uniform() < 0.5 ? objects : [...objects].reverse()
  const [first, second, ...others] = order
  let sentence = random.pick(OPENINGS) + nounPhrase(first, random)
  if (second) sentence += ` ${relation(first, second, random)} ${nounPhrase(second, random)}`
  for (const other of others) sentence += ` ${random.pick(['with', 'and'])} ${nounPhrase(other, random)}`
  return random.uniform() < PLACE ? `${sentence} ${place(stuff, random)}` : sentence
}

function nounPhrase(object: Described, random: RandomStream): string {
  const words: string[] = []
  if (random.uniform() < ATTRIBUTE) {
    if (object.texture !== 'plain' && random.uniform() < TEXTURE) words.push(object.texture)
    words.push(object.color)
  }
  words.push(object.thing)
  return `${/^[aeiou]/.test(words[0]) ? 'an' : 'a'} ${words.join(' ')}`
}

function relation(a: Described, b: Described, random: RandomStream): string {
  if (random.uniform() < 0.5) return 'and'
  const dx = Math.abs(a.x - b.x)
  const dy = Math.abs(a.y - b.y)
  if (dy > dx) return a.y < b.y ? 'above' : 'below'
  return random.pick(['next to', 'beside'])
}

function place(stuff: Stuff, random: RandomStream): string {
  if (stuff === 'night') return 'at night'
  if (stuff === 'brick') return 'on a brick wall'
  return `${random.pick(['on', 'over'])} ${stuff}`
}
