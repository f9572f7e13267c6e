import { localLauncher } from '../../lib/launch/local.ts'
import { knownRuns } from '../../lib/sweep/known.ts'
import { planSweep } from '../../lib/sweep/plan.ts'
import { expandPoints } from '../../lib/sweep/points.ts'
import { runSweep } from '../../lib/sweep/run.ts'
import { loadSweep } from '../../lib/sweep/spec.ts'
import { FAKE_WORKER } from './fake-command.ts'

/** A supervisor in a process of its own, so that a test can kill it: node --import tsx supervisor.ts HOME FILE */
const [home, file] = process.argv.slice(2)
const sweep = loadSweep(file)
const points = expandPoints(sweep)
const { runs, claims } = knownRuns(home, points)
await runSweep({
  home,
  sweep,
  plan: planSweep(points, runs),
  claims,
  launcher: localLauncher(FAKE_WORKER),
  jobs: 2,
  threads: 1,
  provenance: { argv: [], cwd: process.cwd(), git: { commit: null, dirty: false }, versions: {}, dirtyDiff: null },
  observe: () => {},
  order: () => 'go',
  ingest: () => {},
  maxFailures: Number.POSITIVE_INFINITY,
  force: false,
  pollMs: 20,
})
