import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { COMMANDS, nameOf } from '../../lib/cli/commands.ts'
import { configKeys, configSections } from '../../lib/config/keys.ts'
import { EXIT } from '../../lib/core/errors.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'notebooks/README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
]
const experiments = readdirSync(join(root, 'experiments'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.yaml'))
  .map((file) => join('experiments', file))

const commandTable = [
  '| command | what it does |',
  '| --- | --- |',
  ...COMMANDS.filter(({ hidden }) => !hidden).map(({ usage, describe }) => `| \`gvx ${usage}\` | ${describe} |`),
].join('\n')

test("README's table of commands is the list of commands", () => {
  expect(read('README.md')).toContain(commandTable)
})

test("README's exit codes are the exit codes", () => {
  const table = read('README.md').split('## Exit codes')[1]
  const codes = [...table.matchAll(/^\| ([\d, ]+) \|/gm)].flatMap((row) => row[1].split(',').map(Number))
  expect(codes).toEqual(Object.values(EXIT))
})

test('README names every experiment', () => {
  const named = experiments
    .map((file) => file.replace('experiments/', ''))
    .filter((file) => !read('README.md').includes(file))
  expect(named).toEqual([])
})

describe.each(pages)('%s', (page) => {
  const text = read(page)

  test('names commands that exist', () => {
    const names = new Set(COMMANDS.map(nameOf))
    const code = [...text.matchAll(/```[^`]*```|`[^`]+`/g)].map((match) => match[0]).join('\n')
    const used = [...code.matchAll(/(?:^|`|npx )gvx ([a-z][a-z-]*)/gm)].map((match) => match[1])
    expect(used.filter((name) => !names.has(name))).toEqual([])
  })

  test('sets keys that exist', () => {
    const used = [...text.matchAll(/--set '?([A-Za-z0-9.]+)=/g)].map((match) => match[1])
    expect(used.filter((key) => !configKeys.has(key))).toEqual([])
    const sections = [...configSections].map((section) => section.split('.')[0])
    const mentioned = [...text.matchAll(/`((?:model|loss|multiLabel|data|train|eval|runtime)\.[A-Za-z0-9.]+)`/g)]
    const unknown = mentioned.map((match) => match[1]).filter((key) => !configKeys.has(key) && !configSections.has(key))
    expect(unknown).toEqual([])
    expect(sections).toContain('model')
  })

  test('links to files and scripts that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1])
    expect(links.filter((link) => !existsSync(join(root, dirname(page), link)))).toEqual([])
    const { scripts } = JSON.parse(read('package.json'))
    const run = [...text.matchAll(/npm run ([a-z:-]+)/g)].map((match) => match[1])
    expect(run.filter((name) => !(name in scripts))).toEqual([])
  })
})

test('each experiment opens with its question, its command and its time', () => {
  for (const file of experiments) {
    const head = read(file).split('\n\n')[0]
    expect(head, file).toMatch(/^# .+/)
    expect(head, file).toContain(`gvx ${file.includes('ablations') ? 'sweep' : 'train'} `)
    expect(head, file).toMatch(/Time/)
  }
})
