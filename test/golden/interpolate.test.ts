import { beforeAll, describe, expect, it, test } from 'vitest'
import { upsample } from '../../lib/eval/maps.ts'
import { interpolatePositions } from '../../lib/nn/position.ts'
import { openBackend, tf } from '../../lib/tensor/index.ts'
import { presentBackends } from './backends.ts'
import { titleOf } from './model.ts'
import { goldenTensors, hasGolden, relativeError } from './set.ts'

const FILE = 'interpolate/interpolate.safetensors'

test.skipIf(!hasGolden(FILE))(titleOf('maps are enlarged bilinearly as in the reference', [FILE]), () => {
  const golden = goldenTensors(FILE)
  const cases = [...golden.keys()].filter((name) => name.startsWith('bilinear.') && name.endsWith('.in'))
  expect(cases.length).toBeGreaterThan(0)
  for (const name of cases) {
    const [rows, columns] = /\.(\d+)x(\d+)_to_/.exec(name)!.slice(1).map(Number)
    const { data, shape } = golden.get(name)! // [1, 1, h·w, G]
    const to = golden.get(name.replace(/\.in$/, '.out'))! // [1, 1, H, W, G]
    const [tokens, groups] = shape.slice(2)
    const [height, width] = to.shape.slice(2)
    const map = { data: groupsFirst(data, groups), groups, tokens }
    expect(relativeError(upsample(map, rows, columns, height, width), groupsFirst(to.data, groups)), name).toBeLessThan(
      1e-5,
    )
  }
})

/** [.., G] -> [G, ..] */
function groupsFirst(data: Float32Array, groups: number): Float32Array {
  const size = data.length / groups
  return Float32Array.from(data, (_, i) => data[(i % size) * groups + Math.floor(i / size)])
}

describe.each(await presentBackends())('golden position interpolation on %s', (backend) => {
  beforeAll(async () => {
    await openBackend({ backend, threads: 1 })
  })

  it.skipIf(!hasGolden(FILE))(titleOf('is the bicubic one of the reference', [FILE]), () => {
    const golden = goldenTensors(FILE)
    const cases = [...golden.keys()].filter((name) => name.startsWith('bicubic.') && name.endsWith('.in'))
    expect(cases.length).toBeGreaterThan(0)
    for (const name of cases) {
      const [h, w] = /_to_(\d+)x(\d+)/.exec(name)!.slice(1).map(Number)
      const from = golden.get(name)!
      const to = golden.get(name.replace(/\.in$/, '.out'))!
      const out = tf.tidy(() => interpolatePositions(tf.tensor(from.data, from.shape), [h, w]).dataSync())
      expect(relativeError(out, to.data), name).toBeLessThan(1e-5)
    }
  })

  it('leaves the grid it was made for as it is', () => {
    const embedding = tf.ones([1, 9, 2])
    expect(interpolatePositions(embedding, [3, 3])).toBe(embedding)
  })
})
