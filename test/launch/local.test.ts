import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { localLauncher } from '../../lib/launch/local.ts'
import { cancelRun, stopRun } from '../../lib/launch/signal.ts'
import { createRun } from '../../lib/run/folder.ts'
import { readRunState } from '../../lib/run/follow.ts'
import { openEventLog } from '../../lib/run/log.ts'
import { readWorkerLog } from '../../lib/run/worker-log.ts'
import { newRun, temporaryFolder } from '../run/temporary.ts'
import { until } from '../sweep/bench.ts'

/** A launcher whose worker is this piece of JavaScript, with the run's folder as `dir`. */
const workerOf = (code: string) =>
  localLauncher([process.execPath, '-e', `const fs = require('fs'); const dir = process.argv[1]; ${code}`])

test('a worker has a session of its own, its share of threads and the folder it was asked from', async () => {
  const run = createRun(temporaryFolder(), newRun())
  const report = `fs.writeFileSync(dir + '/report', JSON.stringify({
    pid: process.pid, cwd: process.cwd(), threads: [process.env.GVX_THREADS, process.env.OMP_NUM_THREADS, process.env.TF_NUM_INTRAOP_THREADS, process.env.VIPS_CONCURRENCY], stat: fs.readFileSync('/proc/self/stat', 'utf8') }))`
  const worker = await workerOf(report).start(run, { threads: 3 })
  await until(() => worker.ended())
  const { pid, cwd, threads, stat } = JSON.parse(readFileSync(join(run.dir, 'report'), 'utf8'))
  const [, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  expect({ group: Number(group), session: Number(session), threads, cwd }).toEqual({
    group: pid,
    session: pid,
    threads: ['3', '3', '3', '1'],
    cwd: process.cwd(),
  })
})

test('what a worker prints is kept, and its last words are the error when it never began', async () => {
  const run = createRun(temporaryFolder(), newRun())
  const worker = await workerOf(`console.log('hello'); throw new TypeError('no tensors here')`).start(run, {
    threads: 1,
  })
  await until(() => worker.ended())
  expect(readWorkerLog(run.dir).join('\n')).toContain('hello')
  expect(readRunState(run.dir)).toMatchObject({
    status: 'failed',
    error: 'the worker ended with exit code 1 before it began: TypeError: no tensors here',
  })
})

test('a worker that is asked to stop before it began is stopped, not failed', async () => {
  const run = createRun(temporaryFolder(), newRun())
  const worker = await workerOf(`process.kill(process.pid, 'SIGTERM'); setInterval(() => {}, 1000)`).start(run, {
    threads: 1,
  })
  await until(() => worker.ended())
  expect(readRunState(run.dir).status).toBe('stopped')
})

test('a failed start repeats no step, so what earlier attempts recorded stays', async () => {
  const run = createRun(temporaryFolder(), newRun())
  const log = openEventLog(run.dir)
  log.emit({ type: 'metric', step: 30, values: { 'train/loss': 1 } })
  log.emit({ type: 'run.finished', step: 30, status: 'stopped', error: null })
  log.close()
  const worker = await workerOf('process.exit(3)').start(run, { threads: 1 })
  await until(() => worker.ended())
  const events = readFileSync(join(run.dir, 'events.2.jsonl'), 'utf8')
  expect(JSON.parse(events.split('\n')[0])).toMatchObject({ type: 'run.started', attempt: 2, resumedFrom: 30 })
})

test('a run that was removed while its worker ended is not brought back', async () => {
  const run = createRun(temporaryFolder(), newRun())
  const worker = await workerOf(`fs.rmSync(dir, { recursive: true })`).start(run, { threads: 1 })
  await until(() => worker.ended())
  expect(existsSync(run.dir)).toBe(false)
})

test('nobody can be stopped where nobody works, and not on another machine', () => {
  const run = createRun(temporaryFolder(), newRun())
  expect([stopRun(run), cancelRun(run)]).toEqual([false, false])
  openEventLog(run.dir)
  const claim = join(run.dir, 'attempt.1')
  const there = JSON.parse(readFileSync(claim, 'utf8'))
  writeFileSync(claim, JSON.stringify({ ...there, process: { ...there.process, host: 'elsewhere' } }))
  expect(() => stopRun(run)).toThrow(UserError)
  expect(() => stopRun(run)).toThrow(/run1 runs on elsewhere/)
})
