import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { writeHfFolder } from '../../lib/model/hf-folder.ts'
import { encodeImage, encodeText, projectImage, projectText } from '../../lib/model/index.ts'
import { l2Normalize, openBackend, tf } from '../../lib/tensor/index.ts'
import { goldenInputs, goldenModel } from '../golden/model.ts'
import { goldenTensors } from '../golden/set.ts'

/** Exported models against transformers itself, where GVX_PYTHON (or python3) has torch and transformers. */
const python = [process.env.GVX_PYTHON ?? 'python3'].find(
  (name) => spawnSync(name, ['-c', 'from transformers import GroupViTModel']).status === 0,
)
const why = python ? '' : ' (skipped: no Python here has torch and transformers)'

describe('transformers', () => {
  it.skipIf(!python)(`gives the logits of gvx for an exported folder${why}`, { timeout: 120_000 }, async () => {
    await openBackend({ backend: 'wasm', threads: 1 })
    const name = 'two_stage'
    const { config, params: load } = goldenModel(name)
    const { model } = config
    const params = load()
    const inputs = goldenInputs(name)
    const batch = inputs.batch
    const side = model.imageSize
    const nhwc = inputs.images(0)
    const images = tf.tensor4d(nhwc, [batch, side, side, 3])
    const length = model.text.contextLength
    const each = inputs.tokens(0).length / batch / length
    const ids = tf.slice(tf.tensor3d(inputs.tokens(0), [batch, each, length], 'int32'), [0, 0, 0], [batch, 1, length])
    const captions = tf.reshape(ids, [batch, length])
    const image = l2Normalize(projectImage(params, model, encodeImage(params, model, images).pooled, 'eval'))
    const text = l2Normalize(projectText(params, model, encodeText(params, model, captions).pooled, 'eval'))
    const cosines = tf.matMul(image as tf.Tensor2D, text as tf.Tensor2D, false, true)
    const expected = tf.mul(cosines, tf.exp(params.logit_scale)).dataSync()

    const folder = join(mkdtempSync(join(tmpdir(), 'gvx-hf-')), 'model')
    try {
      writeHfFolder(folder, model, goldenTensors(`${name}/weights.safetensors`))
      const pixels = tf.transpose(images, [0, 3, 1, 2]).dataSync() as Float32Array
      writeFileSync(join(folder, 'pixels.f32'), new Uint8Array(pixels.slice().buffer))
      writeFileSync(join(folder, 'ids.i64'), new Uint8Array(BigInt64Array.from(captions.dataSync(), BigInt).buffer))
      const script = fileURLToPath(new URL('./groupvit.py', import.meta.url))
      const run = spawnSync(python!, [script, folder, String(batch), String(side), String(length)], {
        encoding: 'utf8',
      })
      expect(run.status, run.stderr).toBe(0)
      const raw = readFileSync(join(folder, 'logits.f32'))
      const actual = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length))
      expect(actual.length).toBe(batch * batch)
      actual.forEach((value, i) => {
        expect(Math.abs(value - expected[i])).toBeLessThan(1e-4)
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
