// A worker without tensors: writes the log and the checkpoints of a run as the real one does.
// fake-worker.mjs LIB RUNDIR; GVX_FAKE_MS: milliseconds of a step; GVX_FAKE_FAIL: the seed that fails half way.
// GVX_FAKE_CRASH: the step at which the process is gone without a word.
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const [lib, dir, force] = process.argv.slice(2)
const load = (file) => import(`${lib}/${file}.js`)
const { latestCheckpoint, saveCheckpoint } = await load('run/checkpoint')
const { readEarlyStop } = await load('run/early-stop')
const { openRunFolder, readRunConfig } = await load('run/folder')
const { openEventLog } = await load('run/log')
const { startedAt, thisProcess } = await load('run/process')
const { listenForStop } = await load('run/stop')

const stop = listenForStop()
const { identity } = openRunFolder(dir)
const { train, seed, model } = readRunConfig(dir)
const log = openEventLog(dir, { force: force === '--force' })
const me = thisProcess()
let step = latestCheckpoint(dir).checkpoint?.step ?? 0
const { git, versions } = identity
const place = { host: me.host, pid: me.pid, pidStarted: startedAt(me), backend: 'fake', device: 'none', threads: 1 }
const run = { attempt: log.attempt, resumedFrom: step, totalSteps: train.steps, git, versions }
log.emit({ type: 'run.started', ...run, ...place })

const save = () => {
  log.sync()
  const tensors = [['w', { shape: [1000], data: new Float32Array(1000).fill(step) }]]
  const state = { configHash: identity.configHash, best: null, versions }
  const saved = saveCheckpoint(dir, step, { model: tensors, optimizer: tensors, state, best: false })
  log.emit({ type: 'checkpoint.saved', step, ...saved, best: false })
}
const end = (status, error = null) => {
  log.emit({ type: 'run.finished', step, status, error })
  log.close()
  process.exit(status === 'failed' ? 1 : 0)
}
while (step < train.steps) {
  if (log.fenced()) process.exit(0)
  await sleep(Number(process.env.GVX_FAKE_MS ?? 2))
  step += 1
  log.emit({ type: 'metric', step, values: { 'train/loss': model.stages / step, 'test/attempt': log.attempt } })
  if (process.env.GVX_FAKE_CRASH === String(step)) process.kill(process.pid, 'SIGKILL')
  if (process.env.GVX_FAKE_FAIL === String(seed) && step >= train.steps / 2) end('failed', `${basename(dir)} broke`)
  if (step % train.checkpointEvery === 0) save()
  if (stop.reason()) {
    save()
    end(stop.reason(), stop.reason() === 'stopped' ? readEarlyStop(dir) : null)
  }
}
save()
end('finished')
