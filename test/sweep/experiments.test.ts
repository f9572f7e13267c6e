import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { experimentsFolder, loadConfig } from '../../lib/config/load.ts'
import { expandPoints } from '../../lib/sweep/points.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'

const files = readdirSync(experimentsFolder(), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.yaml'))
const sweeps = files.filter((file) => file.startsWith('ablations'))

test.each(files)('%s opens with its command, time and expected numbers', (file) => {
  const head = readFileSync(join(experimentsFolder(), file), 'utf8').split('\n\n')[0]
  expect(head).toMatch(/^# .+/)
  expect(head).toMatch(new RegExp(`^# {3}gvx (sweep|train) ${file}`, 'm'))
  expect(head).toMatch(/^# Time: /m)
  expect(head).toMatch(/^# (Paper|Time: .*Expected)/m)
})

test.each(files.filter((file) => !sweeps.includes(file)))('%s is a complete configuration', (file) => {
  expect(loadConfig(file).config.train.steps).toBeGreaterThan(0)
})

test.each(sweeps)('%s asks a question and has a control with shuffled captions, once', (file) => {
  const sweep = loadSweep(file)
  expect(sweep.spec.question).toMatch(/\?$/)
  const points = expandPoints(sweep)
  expect(points.filter(({ config }) => config.data.shuffleCaptions)).toHaveLength(1)
  expect(points.filter(({ config }) => !config.data.shuffleCaptions).length).toBeGreaterThan(1)
})

test('the stages of the ablation are those of the paper, at two seeds', () => {
  const points = expandPoints(loadSweep('ablations/stages.yaml'))
  expect(points.map(({ key }) => key)).toEqual([
    'one-stage/seed=0',
    'one-stage/seed=1',
    'two-stage/seed=0',
    'two-stage/seed=1',
    'shuffled-captions/seed=0',
  ])
  expect(points.map(({ config }) => config.model.stages)).toEqual([1, 1, 2, 2, 1])
})
