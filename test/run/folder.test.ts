import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import {
  claimPoint,
  createRun,
  listRuns,
  openRun,
  pointClaims,
  readRunConfig,
  reserveRun,
} from '../../lib/run/folder.ts'
import { newRun, temporaryFolder } from './temporary.ts'

test('runs are numbered and private, and give their configuration back', () => {
  const home = temporaryFolder()
  const first = createRun(home, newRun())
  const second = createRun(home, newRun({ seed: 1 }))
  expect([first.identity.id, second.identity.id]).toEqual(['run1', 'run2'])
  expect(statSync(first.dir).mode & 0o777).toBe(0o700)
  expect(readRunConfig(first.dir)).toEqual(newRun().config)
  expect(openRun(home, 'run2').identity.seed).toBe(1)
  expect(listRuns(home).map((run) => run.identity.id)).toEqual(['run1', 'run2'])
})

test('a folder without run.json is no run, and its number is not given again', () => {
  const home = temporaryFolder()
  reserveRun(home)
  expect(createRun(home, newRun()).identity.id).toBe('run2')
  expect(listRuns(home).map((run) => run.identity.id)).toEqual(['run2'])
  expect(() => openRun(home, 'run1')).toThrow(UserError)
})

test('of two that want the same point one makes the run and both get it', () => {
  const home = temporaryFolder()
  const a = claimPoint(home, 'hash-0', 1, newRun())
  const b = claimPoint(home, 'hash-0', 1, newRun())
  expect([a.mine, b.mine]).toEqual([true, false])
  expect(b.folder.identity.id).toBe(a.folder.identity.id)
  expect(readdirSync(join(home, 'runs')).filter((name) => name.startsWith('run'))).toEqual(['run1'])
  expect(pointClaims(home, 'hash-0')).toBe(1)
  expect(claimPoint(home, 'hash-0', 2, newRun()).folder.identity.id).toBe('run2')
})

test('a run whose maker died between its claim and run.json is completed by the next', () => {
  const home = temporaryFolder()
  const { folder } = claimPoint(home, 'hash-0', 1, newRun())
  const file = join(folder.dir, 'run.json')
  const before = JSON.parse(readFileSync(file, 'utf8'))
  mkdirSync(join(home, 'runs', 'run9'))
  expect(existsSync(file)).toBe(true)
  const again = claimPoint(home, 'hash-0', 1, newRun())
  expect(again.folder.identity).toEqual(before)
})
