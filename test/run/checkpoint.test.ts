import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bestCheckpoint, type CheckpointContent, latestCheckpoint, saveCheckpoint } from '../../lib/run/checkpoint.ts'
import { createRun } from '../../lib/run/folder.ts'
import { newRun, temporaryFolder } from './temporary.ts'

const content = (value: number, best = false): CheckpointContent => ({
  model: [['w', { shape: [2, 2], data: new Float32Array([value, 1, 2, 3]) }]],
  optimizer: [['w.m', { shape: [1], data: new Float32Array([value]) }]],
  state: { configHash: 'h', best: best ? { step: value, value } : null, versions: { gvx: '0' } },
  best,
})
const newDir = () => createRun(temporaryFolder(), newRun()).dir
const names = (dir: string) => readdirSync(join(dir, 'checkpoints')).sort()

test('a checkpoint comes back as it was saved', () => {
  const dir = newDir()
  const saved = saveCheckpoint(dir, 7, content(7, true))
  expect(saved.file).toBe('checkpoints/step-00000007')
  const { checkpoint, warnings } = latestCheckpoint(dir)
  expect(warnings).toEqual([])
  expect(checkpoint!.step).toBe(7)
  expect(checkpoint!.state).toEqual(content(7, true).state)
  expect([...checkpoint!.model.get('w')!.data]).toEqual([7, 1, 2, 3])
  expect(checkpoint!.model.get('w')!.shape).toEqual([2, 2])
  expect([...checkpoint!.optimizer.get('w.m')!.data]).toEqual([7])
})

test('the last two and the best are kept', () => {
  const dir = newDir()
  for (const step of [1, 2, 3, 4, 5]) saveCheckpoint(dir, step, content(step, step === 2))
  expect(names(dir)).toEqual(['best', 'step-00000002', 'step-00000004', 'step-00000005'])
  expect(bestCheckpoint(dir).checkpoint!.step).toBe(2)
})

test('a run without a checkpoint has none, and the best of one without evaluations is its last', () => {
  const dir = newDir()
  expect(latestCheckpoint(dir)).toEqual({ checkpoint: null, warnings: [] })
  saveCheckpoint(dir, 3, content(3))
  expect(bestCheckpoint(dir).checkpoint!.step).toBe(3)
})

test.each([
  ['cut short', (file: string) => truncateSync(file, 60)],
  [
    'changed',
    (file: string) =>
      writeFileSync(
        file,
        readFileSync(file).map((byte, i) => (i === 100 ? byte ^ 1 : byte)),
      ),
  ],
  ['gone', (file: string) => rmSync(file)],
])('when a file of the newest checkpoint is %s the one before it is used, with a warning', (_, damage) => {
  const dir = newDir()
  saveCheckpoint(dir, 1, content(1))
  saveCheckpoint(dir, 2, content(2))
  damage(join(dir, 'checkpoints', 'step-00000002', 'model.safetensors'))
  const { checkpoint, warnings } = latestCheckpoint(dir)
  expect(checkpoint!.step).toBe(1)
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatch(/step-00000002 is damaged .*the one before it is used/)
})

test('a step that is passed again after a resume replaces its checkpoint', () => {
  const dir = newDir()
  saveCheckpoint(dir, 5, content(1, true))
  saveCheckpoint(dir, 5, content(2))
  expect(latestCheckpoint(dir).checkpoint!.model.get('w')!.data[0]).toBe(2)
  expect(names(dir)).toEqual(['best', 'step-00000005'])
})

test('a write that stops short on a full disk is an error sentence, and the older checkpoint stays', () => {
  const dir = newDir()
  saveCheckpoint(dir, 1, content(1))
  let room = 120
  const full = (fd: number, bytes: Uint8Array, offset: number, length: number) => {
    const count = Math.min(room, length)
    room -= count
    return count === 0 ? 0 : writeSync(fd, bytes, offset, count)
  }
  expect(() => saveCheckpoint(dir, 2, content(2), full)).toThrow(/the disk is full/)
  expect(latestCheckpoint(dir).checkpoint!.step).toBe(1)
  expect(names(dir)).toEqual(['step-00000001'])
})

test('kill -9 at any moment leaves a sound checkpoint no older than the last one reported', async () => {
  const dir = newDir()
  const writer = join(import.meta.dirname, 'checkpoint-writer.ts')
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, ['--import', 'tsx', writer, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    await once(child.stdout, 'data')
    await sleep(Math.random() * 120)
    child.kill('SIGKILL')
    await once(child, 'close')
    const reported = Number(output.trim().split('\n').at(-1))
    const { checkpoint, warnings } = latestCheckpoint(dir)
    expect(warnings).toEqual([])
    expect(checkpoint!.step).toBeGreaterThanOrEqual(reported)
    expect(checkpoint!.model.get('w')!.data.every((value) => value === checkpoint!.step)).toBe(true)
    rmSync(join(dir, 'checkpoints'), { recursive: true })
  }
}, 120_000)
