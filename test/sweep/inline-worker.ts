import { setTimeout as sleep } from 'node:timers/promises'
import { inlineLauncher } from '../../lib/launch/inline.ts'
import { openRunFolder, readRunConfig } from '../../lib/run/folder.ts'
import { openEventLog } from '../../lib/run/log.ts'

/** Workers in this process, without tensors or checkpoints: for what does not depend on processes. */
export const inlineWorkers = ({ fails = () => false }: { fails?: (seed: number) => boolean } = {}) =>
  inlineLauncher(async (dir) => {
    const { identity } = openRunFolder(dir)
    const { train } = readRunConfig(dir)
    const log = openEventLog(dir)
    const { git, versions } = identity
    const place = { host: 'here', pid: 1, pidStarted: null, backend: 'inline', device: 'none', threads: 1 }
    const run = { attempt: log.attempt, resumedFrom: 0, totalSteps: train.steps, git, versions }
    log.emit({ type: 'run.started', ...run, ...place })
    for (let step = 1; step <= train.steps; step++) {
      await sleep(1)
      log.emit({ type: 'metric', step, values: { 'train/loss': 1 / step } })
      if (step === train.steps / 2 && fails(identity.seed)) {
        log.emit({ type: 'run.finished', step, status: 'failed', error: `${identity.id} broke` })
        return log.close()
      }
    }
    log.emit({ type: 'run.finished', step: train.steps, status: 'finished', error: null })
    log.close()
  })
