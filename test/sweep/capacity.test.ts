import { expect, test } from 'vitest'
import { loadConfig } from '../../lib/config/load.ts'
import { fittingJobs, threadsEach, workerMemory } from '../../lib/sweep/capacity.ts'

const scenes = loadConfig('scenes').config
const paper = (sets: string[]) => loadConfig('groupvit-s', { sets }).config
const GB = 1e9

test('as many workers run as there are cores, points and memory for, but one always', () => {
  expect(fittingJobs([scenes, scenes, scenes], { cores: 2, bytes: 16 * GB })).toBe(2)
  expect(fittingJobs([scenes], { cores: 8, bytes: 16 * GB })).toBe(1)
  expect(fittingJobs(Array(64).fill(scenes), { cores: 64, bytes: 4 * GB })).toBeLessThan(8)
  expect(fittingJobs([paper([]), paper([])], { cores: 64, bytes: 16 * GB })).toBe(1)
})

test('the memory of the image tower of ViT-S at batch 8 is what was measured, 1.2 to 1.9 GB, and the texts come on top', () => {
  const bytes = (k: number) => workerMemory(paper(['train.batchSize=8', `multiLabel.nouns=${k}`]))
  expect(bytes(0)).toBeGreaterThan(1.2 * GB)
  expect(bytes(3)).toBeGreaterThan(bytes(0))
  expect(bytes(3)).toBeLessThan(5 * GB)
})

test('cores are shared out between workers', () => {
  expect([1, 2, 3, 16].map((jobs) => threadsEach(jobs, { cores: 8, bytes: 0 }))).toEqual([8, 4, 2, 1])
})
