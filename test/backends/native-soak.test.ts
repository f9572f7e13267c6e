import { expect, it } from 'vitest'
import { loadConfig } from '../../lib/config/load.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { initParams, trainableNames } from '../../lib/model/index.ts'
import { openBackend, tf } from '../../lib/tensor/index.ts'
import { createAdamW } from '../../lib/train/adamw.ts'
import { trainStep } from '../../lib/train/step.ts'
import { nativeBuilt } from './native-built.ts'

/** Steps after which memory must have found its size: the rows of the token table that captions use have moments. */
const SETTLED = 100
const STEPS = 500

const memory = () => ({
  tensors: tf.memory().numTensors,
  pooled: (tf.memory() as unknown as { pooledBytes: number }).pooledBytes,
  resident: process.memoryUsage().rss,
})

it.skipIf(!process.env.GVX_SOAK || !nativeBuilt())(
  '500 steps on the native backend: no tensor and no memory more (only with GVX_SOAK=1)',
  async () => {
    await openBackend({ backend: 'native', threads: 2 })
    const { config } = loadConfig('scenes.yaml', { sets: ['model.stages=2', 'model.dropPathRate=0.1'] })
    const { model } = config
    const params = initParams(model, 0)
    const optimizer = createAdamW(config.train, params, trainableNames(model))
    const { normal, int } = randomStream(1, 'soak')
    let settled = memory()
    for (let step = 0; step < STEPS; step++) {
      const ends = Array.from({ length: 16 * 4 }, () => 4 + int(27)) // texts of other lengths in every step
      const batch = {
        images: Float32Array.from({ length: 16 * model.imageSize ** 2 * 3 }, normal),
        tokens: Int32Array.from({ length: ends.length * 32 }, (_, i) => {
          const at = i % 32
          const end = ends[Math.floor(i / 32)]
          return at < end ? 1 + int(400) : at === end ? 49407 : 0
        }),
      }
      const values = trainStep({ params, optimizer, config, batch, step }).read()
      expect(values['train/loss']).toBeLessThan(100)
      if (step === SETTLED) settled = memory()
      if (step > SETTLED) expect(tf.memory().numTensors).toBe(settled.tensors)
    }
    const end = memory()
    console.info(`after ${SETTLED} steps ${JSON.stringify(settled)}, after ${STEPS} ${JSON.stringify(end)}`)
    expect(end.pooled).toBeLessThan(settled.pooled * 1.1 + 1e6)
    expect(end.resident).toBeLessThan(settled.resident * 1.1 + 2e7)
  },
  1_200_000,
)
