// A worker without tensors: writes the log and the checkpoints of a run as the real one does, as fast as it is told.
// node --import tsx fake-worker.mjs RUNDIR; GVX_FAKE_MS: milliseconds of a step; GVX_FAKE_FAIL: seed that fails half way.
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { latestCheckpoint, saveCheckpoint } from '../../lib/run/checkpoint.ts'
import { openRunFolder, readRunConfig } from '../../lib/run/folder.ts'
import { openEventLog } from '../../lib/run/log.ts'
import { startedAt, thisProcess } from '../../lib/run/process.ts'
import { listenForStop } from '../../lib/run/stop.ts'

const dir = process.argv[2]
const stop = listenForStop()
const { identity } = openRunFolder(dir)
const { train, seed } = readRunConfig(dir)
const log = openEventLog(dir)
const me = thisProcess()
const { checkpoint } = latestCheckpoint(dir)
let step = checkpoint?.step ?? 0
const { git, versions } = identity
const place = { host: me.host, pid: me.pid, pidStarted: startedAt(me), backend: 'fake', device: 'none', threads: 1 }
log.emit({
  type: 'run.started',
  attempt: log.attempt,
  resumedFrom: step,
  totalSteps: train.steps,
  ...place,
  git,
  versions,
})

const save = () => {
  log.sync()
  const data = new Float32Array(1000).fill(step)
  const tensors = [['w', { shape: [1000], data }]]
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
  log.emit({ type: 'metric', step, values: { 'train/loss': 1 / step, 'train/pid': process.pid } })
  if (process.env.GVX_FAKE_FAIL === String(seed) && step >= train.steps / 2) end('failed', `${basename(dir)} broke`)
  if (step % train.checkpointEvery === 0) save()
  if (stop.reason()) {
    save()
    end(stop.reason())
  }
}
save()
end('finished')
