import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const [COMPILER, EMULATOR] = ['aarch64-linux-gnu-g++', 'qemu-aarch64']
const SOURCES = ['elementwise', 'encoder', 'gemm', 'isa', 'layers', 'pool', 'profile']
const there = (program: string) => spawnSync(program, ['--version']).status === 0
const missing = [COMPILER, EMULATOR].filter((program) => !there(program))
const name = `the kernels on arm64, cross-compiled and emulated${missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : ''}`

it.skipIf(missing.length > 0)(
  name,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'gvx-neon-'))
    try {
      const driver = join(folder, 'driver')
      const flags =
        '-std=c++17 -O2 -fopenmp-simd -ffp-contract=fast -fno-math-errno -fno-trapping-math -pthread -static'
      const files = SOURCES.map((source) => join(root, `lib/backends/native/src/${source}.cc`))
      const compiled = spawnSync(
        COMPILER,
        [...flags.split(' '), '-Wno-psabi', join(root, 'test/backends/sanitized/driver.cc'), ...files, '-o', driver],
        { encoding: 'utf8' },
      )
      expect(compiled.stderr).toBe('')
      const { stdout, status } = spawnSync(EMULATOR, [driver], { encoding: 'utf8' })
      expect(stdout.trim().split('\n')).toEqual([1, 2, 3, 7].map((n) => `${n} threads, neon: ok`))
      expect(status).toBe(0)
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
  600_000,
)
