import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { configEditorSchema } from '../../lib/config/editor-schema.ts'
import type { JsonSchema } from '../../lib/config/keys.ts'
import { sweepEditorSchema } from '../../lib/sweep/editor-schema.ts'

const EXPERIMENTS = resolve(import.meta.dirname, '../../experiments')
const read = (file: string): unknown => parse(readFileSync(join(EXPERIMENTS, file), 'utf8'))
const yamls = (folder: string) => readdirSync(join(EXPERIMENTS, folder)).filter((name) => name.endsWith('.yaml'))

/** What does not fit a schema, as much of JSON Schema as ours need: where it stands. */
function misfits(schema: JsonSchema, value: unknown, path = ''): string[] {
  if (schema.anyOf) return schema.anyOf.some((one) => misfits(one, value).length === 0) ? [] : [path]
  if (schema.enum) return schema.enum.includes(value) ? [] : [path]
  if (schema.const !== undefined) return schema.const === value ? [] : [path]
  if (schema.type === 'object') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path]
    return Object.entries(value).flatMap(([key, child]) => {
      const own = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : schema.additionalProperties
      if (own === undefined || own === true) return []
      return own === false ? [`${path}/${key}`] : misfits(own, child, `${path}/${key}`)
    })
  }
  if (schema.type === 'array') {
    if (!Array.isArray(value)) return [path]
    return value.flatMap((item, i) => misfits(schema.prefixItems?.[i] ?? schema.items ?? {}, item, `${path}/${i}`))
  }
  if (schema.type === 'integer') return Number.isInteger(value) ? [] : [path]
  if (schema.type === 'null') return value === null ? [] : [path]
  return schema.type === undefined || typeof value === schema.type ? [] : [path]
}

test('the schema for editors takes the experiments that come with gvx', () => {
  for (const file of yamls('.')) expect(misfits(configEditorSchema(), read(file))).toEqual([])
  for (const file of yamls('ablations')) expect(misfits(sweepEditorSchema(), read(`ablations/${file}`))).toEqual([])
})

test('it takes extends and dotted keys wherever they may stand, and marks what gvx would refuse', () => {
  const config = { extends: 'scenes.yaml', 'model.text.width': 8, model: { stages: 1, 'text.depth': 2 }, seed: 1 }
  expect(misfits(configEditorSchema(), config)).toEqual([])
  expect(misfits(configEditorSchema(), { model: { stage: 1 }, 'model.text.widht': 8, seed: 'a' })).toEqual([
    '/model/stage',
    '/model.text.widht',
    '/seed',
  ])
})

test('in a sweep file the keys and values of rows and columns are known', () => {
  const sweep = {
    question: 'Which?',
    base: 'scenes.yaml',
    set: { 'train.steps': 5 },
    points: { a: { 'model.stages': 1 }, b: null },
    grid: { 'multiLabel.nouns': [0, 3] },
    zip: { 'train.warmup': [0.1], 'train.clipNorm': [5] },
    exclude: [{ 'model.stages': 1, seed: 1 }],
    identity: { ignore: ['train.clipNorm'] },
    seeds: [0, 1],
    earlyStop: { rule: 'median', after: 5 },
  }
  expect(misfits(sweepEditorSchema(), sweep)).toEqual([])
  const wrong = {
    ...sweep,
    set: { 'train.stepz': 5 },
    points: { a: { 'model.stages': 'two' } },
    grid: { 'multiLabel.nouns': 3 },
    exclude: [{ model: 1 }],
    identity: { ignore: ['clipNorm'] },
  }
  expect(misfits(sweepEditorSchema(), wrong).sort()).toEqual([
    '/exclude/0/model',
    '/grid/multiLabel.nouns',
    '/identity/ignore/0',
    '/points/a',
    '/set/train.stepz',
  ])
})
