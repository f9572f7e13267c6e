import { describe, expect, test } from 'vitest'
import { nativeBuilt } from '../backends/native-built.ts'
import { gvx } from './gvx.ts'

describe('gvx bench', () => {
  test.skipIf(!nativeBuilt())('compares the backends in one table, and says where the time goes', async () => {
    const { code, stdout, stderr } = await gvx([
      ...'bench --kind eval --batch 2 --rounds 3 --backend native --backend wasm --threads 1 --profile --json'.split(
        ' ',
      ),
    ])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const bench = JSON.parse(stdout)
    expect(bench).toMatchObject({
      version: 1,
      kind: 'bench',
      size: 'scenes',
      work: 'eval',
      batch: 2,
      rounds: 3,
      leftOut: [],
    })
    expect(bench.rows.map((row: { backend: string }) => row.backend)).toEqual(['native', 'wasm'])
    for (const row of bench.rows) {
      expect(row.milliseconds).toBeGreaterThanOrEqual(row.fastestMilliseconds)
      expect(row.imagesPerSecond).toBeCloseTo(2000 / row.milliseconds, 6)
      expect(row.peakBytes).toBeGreaterThan(3e7)
    }
    const [native, wasm] = bench.rows
    expect(bench.nativeOverWasm).toBeCloseTo(wasm.milliseconds / native.milliseconds, 6)
    expect(native).toMatchObject({ threads: 1 })
    expect(native.shareOfPeak).toBeGreaterThan(0)
    expect(native.shareOfPeak).toBeLessThanOrEqual(1.05)
    expect(wasm).toMatchObject({ gigaflops: null, shareOfPeak: null })
    const { kernels, milliseconds, javascriptMilliseconds, aroundMilliseconds } = bench.profile
    expect(kernels.map((k: { kernel: string }) => k.kernel)).toContain('products')
    const inKernels = kernels.reduce((sum: number, k: { milliseconds: number }) => sum + k.milliseconds, 0)
    // all of the step is accounted for
    expect(inKernels + aroundMilliseconds + javascriptMilliseconds).toBeCloseTo(milliseconds, 3)
  })

  test('names what it left out, and fails when nothing is left', async () => {
    const { code, stdout } = await gvx('bench --kind eval --rounds 1 --backend node-gpu --json'.split(' '))
    const { rows, leftOut } = JSON.parse(stdout)
    if (rows.length > 0) return // a machine with a GPU
    expect(leftOut[0]).toMatch(/^node-gpu: The backend node-gpu cannot be opened/)
    expect(code).toBe(6)
  })

  test.each([
    ['--rounds 0', '--rounds must be a whole number of at least 1.'],
    ['--batch 1', '--batch must be a whole number of at least 2.'],
    ['--threads 1.5', '--threads must be a whole number of at least 0.'],
  ])('refuses %s', async (option, message) => {
    const { code, stderr } = await gvx(['bench', ...option.split(' ')])
    expect(stderr.trim()).toBe(message)
    expect(code).toBe(2)
  })
})
