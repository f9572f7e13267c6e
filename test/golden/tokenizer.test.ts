import { describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../lib/data/tokenizer.ts'
import { titleOf } from './model.ts'
import { goldenJson, hasGolden } from './set.ts'

type Item = {
  text: string
  ids: number[]
  context77_without_trailing_zeros: number[]
  /** null where the reference's own decoder fails. */
  decoded: string | null
  ftfy_changes_ids: boolean
  ids_without_ftfy?: number[]
}

const FILE = 'tokenizer/tokenizer.json'
const golden = hasGolden(FILE) ? goldenJson<{ items: Item[] }>(FILE) : { items: [] }
const tokenizer = loadTokenizer()

describe("CLIP's tokenizer", () => {
  it.skipIf(!hasGolden(FILE))(titleOf('has strings to agree on', [FILE]), () => {
    expect(golden.items.length).toBeGreaterThan(10)
  })

  it.each(golden.items.map((item) => [JSON.stringify(item.text).slice(0, 60), item] as const))(
    'encodes %s as the reference does',
    (_, item) => {
      expect(tokenizer.encode(item.text)).toEqual(item.ids_without_ftfy ?? item.ids)
    },
  )

  it.each(
    golden.items
      .filter((item) => !item.ftfy_changes_ids)
      .map((item) => [JSON.stringify(item.text).slice(0, 60), item] as const),
  )('pads and decodes %s as the reference does', (_, item) => {
    const padded = [...tokenizer.pad(item.text, 77)]
    expect(padded).toHaveLength(77)
    const used = padded.lastIndexOf(49407) + 1
    expect(padded.slice(0, used)).toEqual(item.context77_without_trailing_zeros)
    expect(padded.slice(used).every((id) => id === 0)).toBe(true)
    if (item.decoded !== null) expect(tokenizer.decode(item.ids)).toBe(item.decoded)
  })
})
