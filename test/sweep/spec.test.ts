import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { expandPoints, onlyPoints } from '../../lib/sweep/points.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import { temporaryFolder } from '../run/temporary.ts'

function fileOf(text: string): string {
  const dir = temporaryFolder()
  writeFileSync(join(dir, 'base.yaml'), 'train: { steps: 40 }\n')
  writeFileSync(join(dir, 'sweep.yaml'), `question: Which?\nbase: base.yaml\n${text}`)
  return join(dir, 'sweep.yaml')
}
const points = (text: string, sets: string[] = []) => expandPoints(loadSweep(fileOf(text)), sets)
const keys = (text: string) => points(text).map(({ key }) => key)
const errorOf = (text: string, sets: string[] = []): string => {
  try {
    points(text, sets)
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
  throw new Error('no error')
}

test('without anything a sweep is its base once', () => {
  expect(keys('')).toEqual(['sweep/seed=0'])
})

test('named points, grid and seeds multiply; zip goes along; exclude takes out', () => {
  expect(keys('points:\n  a: { model.stages: 1 }\n  b: { model.stages: 2 }\nseeds: [3, 4]\n')).toEqual([
    'a/seed=3',
    'a/seed=4',
    'b/seed=3',
    'b/seed=4',
  ])
  expect(keys('grid: { model.stages: [1, 2], multiLabel.nouns: [0, 3] }\n')).toEqual([
    'stages=1, nouns=0/seed=0',
    'stages=1, nouns=3/seed=0',
    'stages=2, nouns=0/seed=0',
    'stages=2, nouns=3/seed=0',
  ])
  expect(keys('zip: { model.groupTokens: [16, 32], model.segments: [4, 8] }\n')).toEqual([
    'groupTokens=16, segments=4/seed=0',
    'groupTokens=32, segments=8/seed=0',
  ])
  expect(keys('grid: { model.stages: [1, 2] }\nseeds: [0, 1]\nexclude: [{ model.stages: 2, seed: 1 }]\n')).toEqual([
    'stages=1/seed=0',
    'stages=1/seed=1',
    'stages=2/seed=0',
  ])
})

test('keys whose last parts are alike are written out', () => {
  expect(keys('grid: { model.depth: [3], model.text.depth: [2] }\n')).toEqual([
    'model.depth=3, model.text.depth=2/seed=0',
  ])
})

test('seeds share a configuration hash, configurations do not, and --set reaches every point', () => {
  const all = points('grid: { model.stages: [1, 2] }\nseeds: [0, 1]\n', ['train.steps=7'])
  expect(new Set(all.map(({ configHash }) => configHash)).size).toBe(2)
  expect(all.map(({ config }) => config.train.steps)).toEqual([7, 7, 7, 7])
})

test('keys that the sweep ignores do not make another run', () => {
  const ignore = 'identity: { ignore: [eval.limit] }\n'
  const hash = (sets: string[]) => points(ignore, sets)[0].configHash
  expect(hash(['eval.limit=5'])).toBe(hash([]))
  expect(hash(['eval.topK=3'])).not.toBe(hash([]))
})

test.each([
  [
    'grid: { model.stages: [1, 9] }\n',
    /sweep\.yaml:3:9, model\.stages=9: model\.stages must be a whole number from 0 to 3, got 9/,
  ],
  ['grid: { model.stage: [1] }\n', /sweep\.yaml:3:9: unknown key model\.stage; did you mean model\.stages\?/],
  ['points:\n  a: { model.embedDim: 7 }\n', /sweep\.yaml:4:3, point a: model\.numHeads must divide/],
  ['grdi: {}\n', /sweep\.yaml:3:1: unknown key grdi; did you mean grid\?/],
  ['zip: { model.stages: [1, 2], model.depth: [3] }\n', /model\.depth has 1 values, but model\.stages has 2/],
  ['seeds: [1.5]\n', /sweep\.yaml:3:9: seeds\.0 must be a whole number/],
  [
    'points:\n  a: { model.stages: 1 }\n  b: { model.stages: 1 }\n',
    /a\/seed=0 and b\/seed=0 are the same configuration/,
  ],
  ['grid: { model.stages: [1] }\nexclude: [{ model.stages: 1 }]\n', /exclude leaves no point/],
])('%j is told in a sentence with its place', (text, message) => {
  expect(errorOf(text)).toMatch(message)
})

test('a base that does not exist is told', () => {
  const dir = temporaryFolder()
  writeFileSync(join(dir, 's.yaml'), 'question: Which?\nbase: nowhere.yaml\n')
  expect(() => loadSweep(join(dir, 's.yaml'))).toThrow(/s\.yaml:2:7: base names nowhere\.yaml, which does not exist/)
})

test('every mistake in any point is found before a point is trained', () => {
  expect(errorOf('points:\n  good: { model.stages: 1 }\n  bad: { train.steps: 0 }\n')).toMatch(
    /point bad: train\.steps must be/,
  )
})

test('--only takes labels and values; terms of one key widen, of several narrow', () => {
  const all = points('points:\n  a: { model.stages: 1 }\n  b: { model.stages: 2 }\nseeds: [0, 1]\n')
  const only = (...terms: string[]) => onlyPoints(all, terms).map(({ key }) => key)
  expect(only('a')).toEqual(['a/seed=0', 'a/seed=1'])
  expect(only('model.stages=2', 'seed=1')).toEqual(['b/seed=1'])
  expect(only('a', 'b', 'seed=0')).toEqual(['a/seed=0', 'b/seed=0'])
  expect(() => onlyPoints(all, ['c'])).toThrow(/no point of the sweep fits --only c/)
})
