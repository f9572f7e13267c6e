import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const compiler = [process.env.CXX, 'g++', 'clang++'].find((name) => name && spawnSync(name, ['--version']).status === 0)

describe.skipIf(!compiler)(
  `the pool of threads under short jobs${compiler ? '' : ' (skipped: no C++ compiler)'}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'gvx-pool-'))
    const program = join(folder, 'pool-stress')

    beforeAll(() => {
      const sources = ['test/backends/pool-stress.cc', 'lib/backends/native/src/pool.cc'].map((file) =>
        join(root, file),
      )
      const flags = ['-std=c++17', '-O3', '-pthread', '-Wall', '-Wextra', '-Werror']
      expect(spawnSync(compiler!, [...flags, ...sources, '-o', program], { encoding: 'utf8' }).stderr).toBe('')
    }, 120_000)

    afterAll(() => rmSync(folder, { recursive: true }))

    it.each([2, 3, 7])(
      'does every chunk once and never stands still, with %i threads',
      (threads) => {
        const { stdout, status } = spawnSync(program, ['3', String(threads)], { encoding: 'utf8' })
        expect(stdout).toMatch(/^\d+ jobs\n$/)
        expect(status).toBe(0)
      },
      60_000,
    )
  },
)
