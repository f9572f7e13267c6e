import { configSchema } from '../../lib/config/schema.ts'
import { randomStream } from '../../lib/core/rng.ts'
import type { SegmentationSet } from '../../lib/data/segmentation-set.ts'

/** A model that is encoded in milliseconds. */
export const config = configSchema.parse({
  model: {
    imageSize: 32,
    patchSize: 8,
    embedDim: 16,
    numHeads: 2,
    depth: 2,
    stages: 1,
    groupTokens: 4,
    segments: 3,
    text: { width: 16, depth: 1, numHeads: 2, contextLength: 12 },
    projection: { dim: 8, hiddenDim: 16 },
  },
})

/** Images of different sizes with two rectangles of classes each and a border to ignore. */
export function smallSet(count: number, background: boolean): SegmentationSet {
  const ids = Array.from({ length: count }, (_, i) => `image${i}`)
  return {
    name: 'small',
    split: 'val',
    classNames: ['background', 'cat', 'dog', 'red bus'],
    background,
    things: [1, 2],
    ignoreIndex: 255,
    fingerprint: 'abc',
    ids,
    read: async (i: number) => {
      const stream = randomStream(0, 'set', i)
      const [width, height] = [20 + stream.int(30), 20 + stream.int(30)]
      const left = i % 4
      const right = (i + 1) % 4
      const mask = Uint8Array.from({ length: width * height }, (_, at) =>
        at < width ? 255 : at % width < width / 2 ? left : right,
      )
      const data = Uint8Array.from({ length: width * height * 3 }, () => stream.int(256))
      return { id: ids[i], image: { data, width, height }, mask: { data: mask, width, height } }
    },
  }
}
