import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { claimPoint, createRun, listRuns, nextClaim, openRun, readRunConfig, reserveRun } from '../../lib/run/folder.ts'
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
  expect(nextClaim(home, 'hash-0')).toBe(2)
  expect(claimPoint(home, 'hash-0', 2, newRun()).folder.identity.id).toBe('run2')
})

test('a run whose maker died between its claim and run.json is completed by the next', () => {
  const home = temporaryFolder()
  const { folder } = claimPoint(home, 'hash-0', 1, newRun())
  rmSync(join(folder.dir, 'run.json'))
  expect(nextClaim(home, 'hash-0')).toBe(1)
  const again = claimPoint(home, 'hash-0', nextClaim(home, 'hash-0'), newRun())
  expect(again.folder.dir).toBe(folder.dir)
  expect(openRun(home, 'run1').identity.configHash).toBe('hash')
})

test('a point whose run was removed gets a new one', () => {
  const home = temporaryFolder()
  rmSync(claimPoint(home, 'hash-0', 1, newRun()).folder.dir, { recursive: true })
  expect(claimPoint(home, 'hash-0', nextClaim(home, 'hash-0'), newRun()).mine).toBe(true)
})
