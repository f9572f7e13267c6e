import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'
import type { Out } from '../../lib/cli/command.ts'
import { drawCurves } from '../../lib/cli/loss-chart.ts'
import { emptyHome, stagesHome } from '../store/home.ts'
import { gvx } from './gvx.ts'

const SLOW = { timeout: 120_000 }

/** For the tests that change nothing. */
const shared = stagesHome(afterAll)

describe('the reading commands on five finished runs and one at work', SLOW, () => {
  test('runs, show, compare and leaderboard print what a person looks for', async () => {
    const home = shared
    const runs = await gvx(['runs', '-w', 'status=finished and voc.mIoU>0.3', '--sort', '-voc.mIoU'], { home })
    expect(runs.code).toBe(0)
    expect(runs.stdout.match(/run\d/g)).toEqual(['run2', 'run1', 'run3'])
    expect(runs.stdout).toContain('48.0')

    const show = await gvx(['show', 'run1'], { home })
    expect(show.stdout).toContain('one-stage  seed 0  finished')
    expect(show.stdout).toContain('majority 10.0')
    expect(show.stdout).toMatch(/[⠀-⣿]{10}/) // the loss, in braille
    expect(show.stdout).not.toContain('\x1b')

    const compare = await gvx(['compare', '1', 'run3'], { home })
    expect(compare.stdout).toMatch(/model\.stages +1 +2/)
    expect(compare.stdout).toMatch(/\(chance\) +\d+\.\d +\d+\.\d/)
    expect(compare.stdout).toMatch(/circle +44\.0 +31\.0 +−13\.0/)
    expect(compare.stdout).toMatch(/run3 − run1 +voc +−\d+\.\d +−\d+\.\d to −\d+\.\d +< 0\.001/)
    expect(compare.stdout).toMatch(/two-stage +2 +30\.0 ± 1\.4 +−16\.0 +−29\.8 to −2\.2 +0\.041 +run3 run4/)

    const board = await gvx(['leaderboard', '--reference', 'paper'], { home })
    expect(board.stdout).toMatch(/1 +one-stage +46\.0 ± 2\.8 +2 +0\.0 +100/)
    expect(board.stdout).toMatch(/2 +two-stage +30\.0 ± 1\.4 +2 +−16\.0 +−29\.8 to −2\.2 +0\.041/)
    expect(board.stdout).toMatch(/soft +NaN in 1 of 1/)
    expect(board.stdout).toMatch(/\(majority\) +10\.0/)
    expect(board.stdout).toMatch(/\[paper Table 3: two stages, CC12M\+YFCC\] +52\.3/)
  })

  test('JSON is versioned, and holds what docs/json-output.md says', async () => {
    const home = shared
    const docs = readFileSync(new URL('../../docs/json-output.md', import.meta.url), 'utf8')
    const parse = async (...args: string[]) => JSON.parse((await gvx([...args, '--json'], { home })).stdout)

    const board = await parse('leaderboard')
    expect(board).toMatchObject({ version: 1, kind: 'leaderboard', metric: 'mIoU' })
    expect(board.rows[0]).toMatchObject({ rank: 1, name: 'one-stage', n: 2, runs: ['run1', 'run2'], dataset: 'voc' })
    expect(board.rows[0].mIoU).toBeCloseTo(0.46, 12)
    expect(board.rows.find((row: { name: string }) => row.name === 'soft').mIoU).toBe('NaN')
    const outputs = {
      leaderboard: { rows: board.rows[0], top: board },
      runs: { top: await parse('runs') },
      show: await parse('show', '1').then((top) => ({
        top,
        run: top.run,
        metrics: top.metrics[0],
        evaluations: top.evaluations[0],
      })),
      compare: await parse('compare', '1', '3').then((top) => ({
        top,
        runs: top.runs[0],
        intervals: top.intervals[0],
        seeds: top.seeds[0],
        configurations: top.seeds[0].configurations[1],
        metrics: top.metrics[0],
      })),
    }
    for (const [command, objects] of Object.entries(outputs)) {
      const section = docs.split(/^## /m).find((text) => text.startsWith(`\`gvx ${command}`))!
      expect(section).toContain(`kind \`${(objects.top as { kind: string }).kind}\``)
      for (const key of Object.values(objects).flatMap((object) => Object.keys(object as object)))
        if (!['version', 'kind'].includes(key))
          expect(section, `${command}: ${key}`).toMatch(new RegExp(`\\b${key}\\b`))
    }
  })

  test('tables come as CSV, Markdown and LaTeX', async () => {
    const home = shared
    const csv = await gvx(['runs', '--cols', 'run,voc.mIoU', '--csv', '--sort', 'number'], { home })
    expect(csv.stdout).toBe('run,voc.mIoU\nrun1,0.44\nrun2,0.48\nrun3,0.31\nrun4,0.29\nrun5,\nrun6,\n')
    const md = await gvx(['leaderboard', '--md'], { home })
    expect(md.stdout).toMatch(/^\*\*voc, 4 images/)
    expect(md.stdout).toContain('| 1 | one-stage | 46.0 ± 2.8 |')
    const tex = await gvx(['leaderboard', '--tex'], { home })
    expect(tex.stdout).toContain('\\toprule')
    expect(tex.stdout).toContain('1 & one-stage & 46.0 $\\pm$ 2.8 & 2 &')
    expect(tex.stdout).toContain('95 \\% interval')
    const numbers = await gvx(['leaderboard', '--csv'], { home })
    expect(numbers.stdout).toMatch(/^rank,name,mIoU,std,n,Δ to best,95 % from,to,p,best step,/)
    expect(numbers.stdout).toMatch(/\n1,one-stage,0\.4(?:6|59999)\d*,0\.0282\d+,2,0,,,,100,run1 run2,/)
  })

  test('a narrow terminal gets fewer columns, and is told which', async () => {
    const home = shared
    for (const columns of [60, 100]) {
      for (const command of [['leaderboard'], ['compare', '1', '2', '3'], ['show', '1']]) {
        const { stdout } = await gvx(command, { home, env: { COLUMNS: String(columns) } })
        const drawn = stdout.split('\n').filter((line) => /^[─ ]|[⠀-⣿]/.test(line))
        expect(Math.max(...drawn.map((line) => [...line].length))).toBeLessThanOrEqual(columns)
      }
    }
    const narrow = await gvx(['runs'], { home, env: { COLUMNS: '40' } })
    expect(narrow.stdout).toContain('run1')
    expect(narrow.stderr).toMatch(/not shown for want of width: .*tags/)
  })

  test('an assertion that does not hold exits with 5', async () => {
    const home = shared
    const assert = (text: string) => gvx(['leaderboard', '--assert', text], { home })
    expect((await assert('voc.mIoU >= 0.4')).code).toBe(0)
    expect((await assert('one-stage > two-stage')).code).toBe(0)
    expect(await assert('voc.mIoU >= 0.5')).toMatchObject({
      code: 5,
      stderr: 'it is not so that voc.mIoU >= 0.5: 0.46 against 0.5.\n',
    })
    expect((await assert('soft > 0')).code).toBe(5)
    expect((await assert('three-stage > 0')).code).toBe(5)
    expect((await assert('nonsense')).code).toBe(2)
  })

  test('tags and notes are kept, removed runs leave the lists and come back', async () => {
    const home = stagesHome()
    await gvx(['tag', '2', 'good'], { home })
    expect((await gvx(['show', 'tag:good'], { home })).stdout).toContain('run2')
    await gvx(['note', '2', 'warm', 'start'], { home })
    expect((await gvx(['show', '2'], { home })).stdout).toMatch(/note .*warm start/)
    await gvx(['rm', '2'], { home })
    expect((await gvx(['runs'], { home })).stdout).not.toContain('run2')
    await gvx(['restore', '2'], { home })
    expect((await gvx(['runs'], { home })).stdout).toContain('run2')
    expect(await gvx(['rm', '6'], { home })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('run6 is at work.'),
    })
  })

  test('logs show events and what the process printed, without its escapes', async () => {
    const home = stagesHome()
    writeFileSync(join(home, 'runs/run1/worker.1.log'), 'hello\n\x1b[2Jbad\n')
    const logs = await gvx(['logs', '1'], { home })
    expect(logs.stdout).toContain('finished at step 100')
    expect(logs.stdout).toContain('worker.1.log:\nhello\n\\u001b[2Jbad\n')
    expect(logs.stdout).toContain('a corrupt \\u001b[31mJPEG')
    const errors = await gvx(['logs', '1', '--errors', '--no-worker'], { home })
    expect(errors.stdout.split('\n')).toHaveLength(2)
  })

  test('sql answers from the views and cannot be kept busy', async () => {
    const home = shared
    const answer = await gvx(
      ['sql', "SELECT run, mIoU FROM v_runs WHERE label = 'one-stage' ORDER BY number", '--csv'],
      { home },
    )
    expect(answer.stdout).toBe('run,mIoU\nrun1,0.44\nrun2,0.48\n')
    const endless = 'WITH RECURSIVE x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x) SELECT count(*) FROM x'
    expect(await gvx(['sql', endless, '--timeout', '2'], { home })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ended after 2 s'),
    })
    expect((await gvx(['sql', 'DROP TABLE runs'], { home })).code).toBe(2)
  })

  test('a reader that goes away ends gvx quietly', async () => {
    const home = shared
    const answer = await gvx(['export', '--format', 'jsonl', '--view', 'v_params'], { home, readBytes: 10 })
    expect(answer.stderr).toBe('')
    expect(answer.code).toBe(0)
  })
})

describe('one sentence and the documented exit code', SLOW, () => {
  test.each([
    [['show', 'run99'], 4, /^there is no run run99 in .*\n {2}gvx runs lists/],
    [['show', 'tag:none'], 4, /^there is no run tag:none/],
    [['runs', '-w', 'foo=1'], 2, /^the filter names the unknown field foo\.\n/],
    [['runs', '--cols', 'vocc.mIoU'], 2, /^no run has a field vocc\.mIoU\./],
    [['rnus'], 2, /^there is no command rnus\.\n {2}did you mean runs\?\n$/],
    [['export', '--format', 'xls'], 2, /^--format: expected csv, .*hf, got "xls"\.\n/],
    [['data', 'frob'], 2, /^action: expected make, .*download, got "frob"\.\n/],
    [['runs', '--limt', '3'], 2, /^there is no option or argument .*limt of gvx runs\.\n {2}did you mean limit\?\n$/],
    [['show'], 2, /^gvx show needs <run>\./],
    [['compare', '1'], 2, /^compare needs two different runs\./],
    [['runs', '--json', '--csv'], 2, /^Arguments json and csv are mutually exclusive\./],
    [['config', 'print', 'nowhere.yaml'], 2, /^nowhere\.yaml was found neither/],
    [['config', 'print', 'scenes', '--set', 'model.stges=1'], 2, /did you mean model\.stages\?/],
    [[], 2, /^which command\?/],
  ])('gvx %j', async (args, code, message) => {
    const home = shared
    const answer = await gvx(args as string[], { home })
    expect(answer.stderr).toMatch(message as RegExp)
    expect(answer.stderr.trim().split('\n').length).toBeLessThanOrEqual(2)
    expect(answer.stdout).toBe('')
    expect(answer.code).toBe(code)
  })

  test('a database of a newer gvx: 7', async () => {
    const home = emptyHome()
    const db = new Database(join(home, 'runs.db'))
    db.pragma('user_version = 99')
    db.close()
    expect(await gvx(['runs'], { home })).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/^.* was written by a newer gvx/),
    })
  })

  test('no runs: 4', async () => {
    const home = emptyHome()
    expect(await gvx(['runs'], { home })).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining('no runs here yet'),
    })
    expect((await gvx(['leaderboard'], { home })).code).toBe(4)
    const json = await gvx(['runs', '--json'], { home })
    expect({ ...json, stdout: JSON.parse(json.stdout) }).toMatchObject({ code: 4, stdout: { kind: 'runs', rows: [] } })
    expect((await gvx(['runs', '--csv'], { home })).stdout).toMatch(/^run,label,[\w.,]+\n$/)
  })

  test.each([
    [['runs']],
    [['leaderboard']],
    [['show', '@last']],
    [['compare', '1', '2']],
    [['tag', 'run1', 'x']],
    [['logs', 'run1']],
    [['watch']],
    [['sql', 'SELECT 1']],
    [['db', 'backup']],
    [['db', 'check']],
  ])('gvx %j in a folder where nothing has run: 4, and nothing is left behind', async (args) => {
    const home = emptyHome()
    expect((await gvx(args, { home })).code).toBe(4)
    expect(readdirSync(home)).toEqual([])
    expect((await gvx(args, { home: join(home, 'not-there') })).code).toBe(4)
    expect(readdirSync(home)).toEqual([])
  })

  test('one folder that cannot be read does not hide the others', async () => {
    const home = stagesHome()
    writeFileSync(join(home, 'runs/run2/config.yaml'), 'model: { stages: 1 }\nmodel: 2\n')
    mkdirSync(join(home, 'runs/run7'))
    const answer = await gvx(['runs'], { home })
    expect(answer.stdout).toContain('run1')
    expect(answer.stderr).toMatch(/run2 was left out: .*config\.yaml:2:1: this key stands here twice/)
    expect(answer.code).toBe(0)
  })
})

test('steps under a curve are whole numbers', () => {
  const lines: string[] = []
  const out = { width: 60, line: (text: string) => lines.push(text), bold: String, dim: String } as unknown as Out
  drawCurves([{ run: 'run1', steps: [10, 800], values: [1, 2] }], 'train/loss', out)
  expect(lines.join('\n')).toMatch(/\n +10 +800\n/)
})

test('help, version and completion need no home', SLOW, async () => {
  const help = await gvx(['--help'])
  expect(help).toMatchObject({ code: 0, stderr: '' })
  expect(help.stdout).not.toContain('worker')
  expect((await gvx(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect((await gvx(['runs', '--help'])).stdout).toContain('--where')
  const home = shared
  const complete = async (...words: string[]) =>
    (await gvx(['__complete', ...words], { home })).stdout.trim().split('\n')
  expect(await complete('lea')).toEqual(['leaderboard'])
  expect(await complete('show', 'run')).toEqual(['run1', 'run2', 'run3', 'run4', 'run5', 'run6'])
  expect(await complete('train', 'x.yaml', '--set', 'model.assignment.m')).toEqual(['model.assignment.mode='])
  expect(await complete('runs', '--wh')).toEqual(['--where'])
  expect(await complete('show', '--home', emptyHome(), 'run')).toEqual([''])
  expect(await complete('runs', '--cols', 'status,+model.assignment.m')).toEqual(['status,+model.assignment.mode'])
  expect(await complete('runs', '--sort', '-crea')).toEqual(['-created'])
  expect(await complete('sweep', 'ablations/st')).toEqual(['ablations/stages.yaml'])
  expect((await gvx(['completion', 'zsh'])).stdout).toContain('compdef _gvx gvx')
})

test('config print gives a file that gvx reads back, and every key is explained', SLOW, async () => {
  const home = emptyHome()
  const { stdout } = await gvx(['config', 'print', 'scenes', '--set', 'model.embedDim=96'], { home })
  writeFileSync(join(home, 'again.yaml'), stdout)
  expect((await gvx(['config', 'print', join(home, 'again.yaml')], { home })).stdout).toBe(stdout)
  expect(stdout).toContain('embedDim: 96')
  const keys = JSON.parse((await gvx(['config', 'keys', '--json'], { home })).stdout).keys
  expect(keys.filter((key: { help: string }) => key.help === '')).toEqual([])
})
