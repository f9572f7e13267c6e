// A supervisor in a process of its own, so that a test can kill it: supervisor.mjs LIB HOME FILE WORKER…
// GVX_TEST_JOBS: workers at a time. As in gvx itself, what it reads goes into the database.
const [lib, home, file, ...worker] = process.argv.slice(2)
const load = (name) => import(`${lib}/${name}.js`)
const { localLauncher } = await load('launch/local')
const { knownRuns } = await load('sweep/known')
const { planSweep } = await load('sweep/plan')
const { expandPoints } = await load('sweep/points')
const { runSweep } = await load('sweep/run')
const { loadSweep } = await load('sweep/spec')
const { ingestRun } = await load('store/ingest')
const { openStore } = await load('store/open')

const store = openStore(home)
const sweep = loadSweep(file)
const points = expandPoints(sweep)
const { runs, claims } = knownRuns(home, points)
await runSweep({
  home,
  sweep,
  plan: planSweep(points, runs),
  claims,
  launcher: localLauncher(worker),
  jobs: Number(process.env.GVX_TEST_JOBS ?? 2),
  threads: 1,
  provenance: { argv: [], cwd: process.cwd(), git: { commit: null, dirty: false }, versions: {}, dirtyDiff: null },
  observe: () => {},
  order: () => 'go',
  record: (dir) => ingestRun(store, dir),
  maxFailures: Number.POSITIVE_INFINITY,
  force: false,
  pollMs: 20,
})
store.close()
