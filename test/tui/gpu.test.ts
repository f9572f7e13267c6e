import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createGpuReader } from '../../lib/tui/gpu.ts'
import { temporaryFolder } from '../run/temporary.ts'

const { PATH } = process.env
let bin: string
beforeEach(() => {
  bin = join(temporaryFolder(), 'bin')
  mkdirSync(bin)
})
afterEach(() => {
  process.env.PATH = PATH
})

/** Puts a program called nvidia-smi first on the path; it notes each call in a file and then does `script`. */
function fakeNvidiaSmi(script: string): void {
  const file = join(bin, 'nvidia-smi')
  writeFileSync(file, `#!/bin/sh\necho "$@" >> "${bin}/calls"\n${script}\n`)
  chmodSync(file, 0o755)
  process.env.PATH = `${bin}${delimiter}${PATH}`
}

const calls = (): number =>
  existsSync(join(bin, 'calls')) ? readFileSync(join(bin, 'calls'), 'utf8').trimEnd().split('\n').length : 0

test('what nvidia-smi says is there at a later look, and what it does not know is null', async () => {
  fakeNvidiaSmi(`case "$*" in *--query-gpu=index,name,utilization.gpu,*nounits*) ;; *) exit 2 ;; esac
cat <<END
0, NVIDIA H100 80GB HBM3, 45, 1024, 81559, 56, 310.21
1, Tesla K80, [N/A], [Not Supported], 11441, 40, [N/A]
END`)
  let time = 0
  const read = createGpuReader(() => time)
  expect(read()).toEqual([])
  await vi.waitUntil(() => read().length > 0, { timeout: 20_000 })
  expect(read()).toEqual([
    {
      index: '0',
      name: 'NVIDIA H100 80GB HBM3',
      busy: 0.45,
      memory: { used: 1024 * 2 ** 20, total: 81559 * 2 ** 20 },
      celsius: 56,
      watts: 310.21,
    },
    { index: '1', name: 'Tesla K80', busy: null, memory: null, celsius: 40, watts: null },
  ])
  fakeNvidiaSmi('echo 7, New, 1, 2, 3, 4, 5')
  read()
  time += 2000
  await vi.waitUntil(() => read()[0].index === '7', { timeout: 20_000 })
})

test('where nvidia-smi is missing or fails there are no GPUs, and nobody asks again', async () => {
  process.env.PATH = bin
  let time = 0
  const missing = createGpuReader(() => time)
  missing()
  process.env.PATH = PATH
  fakeNvidiaSmi('echo "NVIDIA-SMI has failed"; exit 9')
  const failing = createGpuReader(() => time)
  failing()
  await vi.waitUntil(() => calls() === 1, { timeout: 20_000 })
  const begin = Date.now()
  await vi.waitUntil(() => {
    time += 60_000
    expect([missing(), failing()]).toEqual([[], []])
    return Date.now() - begin > 500
  })
  expect(calls()).toBe(1)
})
