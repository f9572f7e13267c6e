import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import { initParams } from '../../lib/model/index.ts'
import { openBackend } from '../../lib/tensor/index.ts'
import { type WrittenTensor, writeSafetensors } from '../../lib/tensor/safetensors.ts'
import { emptyHome } from '../store/home.ts'
import { gvx } from './gvx.ts'

const SLOW = { timeout: 120_000 }

/** Weights of a small one-stage model. */
async function writeWeights(file: string): Promise<void> {
  await openBackend({ backend: 'cpu', threads: 1 })
  const { model } = configSchema.parse({
    model: {
      imageSize: 32,
      patchSize: 8,
      embedDim: 16,
      numHeads: 1,
      depth: 2,
      stages: 1,
      groupTokens: 6,
      segments: 3,
      text: { width: 16, depth: 1, numHeads: 1, contextLength: 12, vocabSize: 100 },
      projection: { dim: 8, hiddenDim: 12 },
    },
  })
  const weights = Object.entries(initParams(model, 0)).map(([name, t]): [string, WrittenTensor] => [
    name,
    { shape: t.shape, data: t.dataSync() as Float32Array },
  ])
  writeFileSync(file, writeSafetensors(weights))
}

describe('models on the command line', SLOW, () => {
  test('gvx model prints the figures of the paper, and gives them as JSON', async () => {
    const home = emptyHome()
    const text = await gvx(['model', 'groupvit-s.yaml'], { home })
    expect(text.code).toBe(0)
    expect(text.stdout).toContain('55,726,610')
    expect(text.stdout).toMatch(/image encoder +28,837,136 +7\.95/)
    const json = JSON.parse((await gvx(['model', 'groupvit-s.yaml', '--json'], { home })).stdout)
    expect(json).toMatchObject({ version: 1, kind: 'model', parameters: { total: 55_726_610, text: 22_145_792 } })
  })

  test('weights are imported as a finished run, exported for transformers, and imported again', async () => {
    const home = emptyHome()
    await writeWeights(join(home, 'small.safetensors'))
    const first = await gvx(['import', join(home, 'small.safetensors'), '--name', 'elsewhere', '--json'], { home })
    expect(JSON.parse(first.stdout)).toMatchObject({ kind: 'import', run: 'run1', name: 'elsewhere' })
    expect((await gvx(['runs'], { home })).stdout).toMatch(/run1 +elsewhere +0 +finished/)

    const folder = join(home, 'hf')
    expect((await gvx(['export', 'run1', folder, '--format', 'hf'], { home })).code).toBe(0)
    expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({ model_type: 'groupvit' })
    expect((await gvx(['import', folder], { home })).code).toBe(0)
    const files = ['run1', 'run2'].map((run) =>
      readFileSync(join(home, 'runs', run, 'checkpoints/step-00000000/model.safetensors')),
    )
    expect(files[0].equals(files[1])).toBe(true)
  })

  test('a damaged source is one sentence, and makes no run', async () => {
    const home = emptyHome()
    writeFileSync(join(home, 'bad.safetensors'), 'x')
    const { code, stderr } = await gvx(['import', join(home, 'bad.safetensors')], { home })
    expect(code).toBe(2)
    expect(stderr).toMatch(/is not a sound safetensors file/)
    expect(stderr).not.toMatch(/\n +at /)
    expect(existsSync(join(home, 'runs/run1'))).toBe(false)
    expect((await gvx(['import', join(home, 'nowhere.pth')], { home })).code).toBe(4)
  })
})
