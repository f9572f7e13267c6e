import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { freezeConfig } from '../../lib/config/hash.ts'
import { experimentsFolder, loadConfig, parseConfigText, resolveExperiment } from '../../lib/config/load.ts'
import { UserError } from '../../lib/core/errors.ts'

/** Writes files into a folder of their own and returns it. */
function files(content: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'gvx-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(content)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

/** What a person reads when a configuration with this text is refused. */
function complaint(text: string, sets: string[] = []): string {
  const folder = files({ 'c.yaml': text })
  try {
    loadConfig(join(folder, 'c.yaml'), { sets })
  } catch (error) {
    expect(error).toBeInstanceOf(UserError)
    const { message, hint, exitCode } = error as UserError
    expect(exitCode).toBe(2)
    return `${message}${hint ? `\n  ${hint}` : ''}`.replaceAll(`${folder}/`, '')
  }
  throw new Error('it was accepted')
}

test('a file gives values to a complete configuration, nested or dotted', () => {
  const folder = files({ 'c.yaml': 'model.stages: 1\nmodel:\n  text: { depth: 2 }\ntrain:\n  # all commented out\n' })
  const { config, source } = loadConfig(join(folder, 'c.yaml'))
  expect(config.model).toMatchObject({ stages: 1, depths: [6, 6], text: { depth: 2, width: 256 } })
  expect(source.origin.get('model.text.depth')).toMatch(/c\.yaml:3:18$/)
})

test('extends puts the named file below; lists replace lists; --set comes last', () => {
  const folder = files({
    'sub/c.yaml': 'extends: ../base.yaml\nmodel:\n  depths: [4, 4, 4]\nseed: 2\n',
    'base.yaml': 'seed: 1\nmodel: { depths: [10, 1, 1], embedDim: 96 }\ntrain.steps: 7\n',
  })
  const { config } = loadConfig(join(folder, 'sub/c.yaml'), {
    overrides: { seed: 3, 'train.steps': 8 },
    sets: ['train.steps=9'],
  })
  expect(config).toMatchObject({ seed: 3, train: { steps: 9 }, model: { depths: [4, 4, 4], embedDim: 96 } })
})

test('extends in a circle is refused', () => {
  const folder = files({ 'a.yaml': 'extends: b.yaml\n', 'b.yaml': 'extends: a.yaml\n' })
  expect(() => loadConfig(join(folder, 'a.yaml'))).toThrow('extends goes round in a circle: a.yaml → b.yaml → a.yaml.')
})

test('an experiment that comes with gvx is found by its name from anywhere', () => {
  const expected = join(experimentsFolder(), 'ablations/stages.yaml')
  const elsewhere = files({})
  expect(resolveExperiment('ablations/stages.yaml', elsewhere)).toBe(expected)
  expect(resolveExperiment('ablations/stages', elsewhere)).toBe(expected)
  expect(resolveExperiment('experiments/ablations/stages.yaml', elsewhere)).toBe(expected)
  expect(() => resolveExperiment('nothing.yaml', elsewhere)).toThrow(/neither from .* nor among the experiments/)
})

test('a frozen configuration is read back as it was', () => {
  const { config } = loadConfig(null, {
    sets: ['model.stages=1', 'data.train=[a.tar, "b{0..3}.tar"]', 'train.init=null'],
  })
  expect(parseConfigText(freezeConfig(config), 'config.yaml')).toEqual(config)
})

test.each([
  [12, 1, [6, 6]],
  [12, 2, [6, 3, 3]],
  [3, 1, [2, 1]],
  [3, 2, [1, 1, 1]],
  [4, 2, [2, 1, 1]],
  [5, 3, [2, 1, 1, 1]],
  [7, 2, [4, 2, 1]],
])('%i layers in %i stages are shared out as the paper does', (depth, stages, depths) => {
  const sets = [`model.depth=${depth}`, `model.stages=${stages}`]
  expect(loadConfig(null, { sets }).config.model.depths).toEqual(depths)
})

test('--set takes a number or auto where the key knows both', () => {
  expect(loadConfig(null, { sets: ['eval.shortSide=96'] }).config.eval.shortSide).toBe(96)
  expect(loadConfig(null, { sets: ['eval.shortSide=auto'] }).config.eval.shortSide).toBe('auto')
  expect(loadConfig(null, { sets: ['data.augmentations.flip=false'] }).config.data.augmentations.flip).toBe(false)
})

test('--set takes globs and brace patterns as they are, numbers as text where text is wanted', () => {
  const { config } = loadConfig(null, {
    sets: ['data.train=*.tar', 'name=12', 'eval.voc.root={a,b}', 'train.betas=[0.8, 0.9]'],
  })
  expect(config).toMatchObject({
    name: '12',
    data: { train: '*.tar' },
    eval: { voc: { root: '{a,b}' } },
    train: { betas: [0.8, 0.9] },
  })
})

test.each([
  ['a mistyped key', 'model:\n  embedDimm: 3\n'],
  ['a key without its section', 'stages: 1\n'],
  ['a key nothing is near to', 'zebra: 1\n'],
  ['a word for a number', 'model:\n  stages: two\n'],
  ['a number out of bounds', 'model.dropPathRate: 2\n'],
  ['a fraction for a count', 'train: { steps: 1.5 }\n'],
  ['an unknown choice', 'model: { assignment: { mode: grumbel } }\n'],
  ['a list that is too long', 'train.betas: [0.1, 0.2, 0.3]\n'],
  ['a scalar for a section', 'model: 3\n'],
  ['two keys that contradict each other', 'model: { embedDim: 100, numHeads: 3 }\n'],
  ['several mistakes', 'seed: -1\nmodel:\n  stages: 9\n  foo: 1\n'],
  ['a key twice', 'seed: 1\nseed: 2\n'],
  ['a key twice, once dotted', 'train.steps: 1\ntrain:\n  steps: 2\n'],
  ['an alias', 'a: &x [1]\nmodel.depths: *x\n'],
  ['an integer that would be rounded', 'seed: 9007199254740993\n'],
  ['a prototype', '__proto__:\n  polluted: true\n'],
  ['a prototype by a dotted key', 'model.constructor.x: 1\n'],
  ['broken YAML', 'model: [1,\n'],
  ['a tag', 'seed: !!js/function x\n'],
  ['a list instead of keys', '- 1\n- 2\n'],
  ['a missing base', 'extends: nowhere.yaml\n'],
])('%s is told in one sentence with its place', (_what, text) => {
  expect(complaint(text)).toMatchSnapshot()
})

test.each([
  'model.stges=1',
  'stages=1',
  'model=1',
  'model.stages',
  '__proto__.x=1',
  'seed=x',
  'model.stages=7',
  'seed=9007199254740993',
])('--set %s is told in one sentence', (set) => {
  expect(complaint('', [set])).toMatchSnapshot()
})

test('nothing reaches the prototype of objects', () => {
  for (const text of ['__proto__: { polluted: 1 }\n', 'constructor.prototype.polluted: 1\n']) complaint(text)
  for (const key of ['__proto__.polluted', 'constructor.prototype.polluted'])
    expect(() => loadConfig(null, { overrides: { [key]: 1 } })).toThrow('not allowed')
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
})

test('a huge file and a deep one are refused', () => {
  expect(complaint(`name: ${'x'.repeat(1 << 20)}\n`)).toContain('too large')
  expect(complaint(`model: ${'['.repeat(200)}${']'.repeat(200)}\n`)).toContain('deeper')
})

test('the widths of the stages are checked against the stages and the heads', () => {
  const widths = (list: string) => complaint(`model.widthFactors: ${list}\n`)
  expect(widths('[1, 2]')).toContain('model.widthFactors expected 3 numbers for model.stages = 2, got [1, 2]')
  expect(widths('[2, 2, 2]')).toContain('must begin with 1: model.embedDim is the width of the first stage')
  expect(widths('[1, 1.01, 1]')).toContain('must be multiples of model.numHeads (6)')
  expect(loadConfig(null, { sets: ['model.widthFactors=[1, 1, 1]'] }).config.model.widthFactors).toBe('auto')
})
