import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../../lib/config/load.ts'
import { openSegmentationSet } from '../../lib/data/segmentation-set.ts'
import { openTrainStream } from '../../lib/data/stream.ts'
import { bootstrapInterval, pairedBootstrap } from '../../lib/eval/bootstrap.ts'
import { evaluateSegmentation } from '../../lib/eval/evaluate.ts'
import { initParams, trainableNames } from '../../lib/model/index.ts'
import { openBackend, tf } from '../../lib/tensor/index.ts'
import { createAdamW } from '../../lib/train/adamw.ts'
import { trainStep } from '../../lib/train/step.ts'
import { presentBackends } from '../golden/backends.ts'

const home = mkdtempSync(join(tmpdir(), 'gvx-learns-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const { config } = loadConfig('scenes.yaml', {
  sets: [
    'train.steps=40',
    'train.batchSize=32',
    'data.workers=0',
    'data.scenes.train=960',
    'data.scenes.val=100',
    'data.scenes.test=1',
  ],
})

// cpu has no kernels that are fast enough for a minute: with GVX_BACKEND=cpu nothing is left to test.
const present = await presentBackends()
const backends = present.filter((backend) => backend !== 'cpu')

test.skipIf(present.every((backend) => backend === 'cpu'))('there is a backend that trains', () => {
  expect(backends.length).toBeGreaterThan(0)
})

describe.each(backends)('on the backend %s', (backend) => {
  test('captions alone teach to segment better than the majority class and than no training', {
    timeout: 600_000,
  }, async () => {
    await openBackend({ backend, threads: 0 })
    const set = await openSegmentationSet({ ...config.eval.voc, split: 'val', home, scenes: config.data.scenes })
    const params = initParams(config.model, config.seed)
    const evaluate = () => evaluateSegmentation({ params, config, set, purpose: 'final', limit: 0 })
    const untrained = await evaluate()
    const optimizer = createAdamW(config.train, params, trainableNames(config.model))
    const stream = await openTrainStream({ config, home, startStep: 0, onFault: () => {} })
    try {
      for (let step = 0; step < config.train.steps; step++)
        trainStep({ params, optimizer, config, batch: await stream.next(), step }).dispose()
    } finally {
      await stream.close()
    }
    const trained = await evaluate()
    tf.dispose(params)
    const [low] = bootstrapInterval(trained.perImage, set.classNames.length, { resamples: 2000 })
    expect(low).toBeGreaterThan(trained.baselines.majority)
    expect(low).toBeGreaterThan(trained.baselines.chance)
    const gain = pairedBootstrap(untrained.perImage, trained.perImage, set.classNames.length, { resamples: 2000 })
    expect(gain.interval[0]).toBeGreaterThan(0)
  })
})
