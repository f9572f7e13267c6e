import { expect, test } from 'vitest'
import { configHash, diffConfigs, flattenConfig } from '../../lib/config/hash.ts'
import { configKeys } from '../../lib/config/keys.ts'
import { loadConfig } from '../../lib/config/load.ts'

const config = (...sets: string[]) => loadConfig(null, { sets }).config

test('what does not change the numbers does not change the identity', () => {
  const same = config('seed=3', 'name=other', 'runtime.backend=wasm', 'train.checkpointEvery=7', 'train.logEvery=1')
  expect(configHash(same)).toBe(configHash(config()))
})

test('every other key changes it, whatever the way it was written', () => {
  expect(configHash(config('train.learningRate=0.001'))).not.toBe(configHash(config()))
  expect(configHash(config('train.learningRate=1e-3'))).toBe(configHash(config('train.learningRate=0.001')))
  expect(configHash(config('model.depths=[6, 3, 3]'))).toBe(configHash(config()))
})

test('an identity holds only what differs from the defaults, so a key added later orphans nothing', () => {
  // sha256 of [1,[]] and of [1,[["train.steps",5]]]: neither depends on how many keys the schema has.
  expect(configHash(config())).toBe('1788f993b477')
  expect(configHash(config('train.steps=5'))).toBe('5d6f4e5486d0')
})

test('diffConfigs names the keys that differ', () => {
  expect(diffConfigs(config('train.steps=5'), config('train.steps=6', 'model.mlpRatio=2'))).toEqual([
    ['model.mlpRatio', 4, 2],
    ['train.steps', 5, 6],
  ])
})

test('every key of a configuration is a known key', () => {
  expect(Object.keys(flattenConfig(config())).filter((key) => !configKeys.has(key))).toEqual([])
})
