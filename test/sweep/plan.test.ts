import fc from 'fast-check'
import { expect, test } from 'vitest'
import { configSchema } from '../../lib/config/schema.ts'
import type { RunStatus } from '../../lib/core/updates.ts'
import { NOTHING_YET } from '../../lib/run/status.ts'
import { type KnownRun, planSweep } from '../../lib/sweep/plan.ts'
import type { SweepPoint } from '../../lib/sweep/points.ts'

const config = configSchema.parse({})
const point = (configHash: string, seed: number): SweepPoint => ({
  key: `${configHash}/seed=${seed}`,
  label: configHash,
  seed,
  overrides: {},
  config,
  configHash,
})
const run = (
  n: number,
  configHash: string,
  seed: number,
  status: RunStatus,
  over: Partial<KnownRun> = {},
): KnownRun => ({
  id: `run${n}`,
  configHash,
  seed,
  commit: null,
  created: n,
  host: null,
  givenUp: null,
  state: { ...NOTHING_YET, status, step: 5, attempts: 1, error: status === 'failed' ? 'it broke' : null },
  ...over,
})
const planOne = (runs: KnownRun[], options = {}) => planSweep([point('a', 0)], runs, options)[0].planned

test.each([
  ['new', 'never trained', []],
  ['skip', 'finished as run1', [run(1, 'a', 0, 'finished')]],
  ['running', 'running as run1', [run(1, 'a', 0, 'running')]],
  ['resume', 'stopped as run1, from the beginning', [run(1, 'a', 0, 'stopped')]],
  ['skip', 'failed as run1: it broke (--retry failed tries it again)', [run(1, 'a', 0, 'failed')]],
  ['new', 'never trained', [run(1, 'a', 1, 'finished'), run(2, 'b', 0, 'finished')]],
  ['skip', 'finished as run2', [run(1, 'a', 0, 'stopped'), run(2, 'a', 0, 'finished'), run(3, 'a', 0, 'failed')]],
  ['resume', 'lost as run2, from the beginning', [run(1, 'a', 0, 'failed'), run(2, 'a', 0, 'lost')]],
] as const)('a point is %s: %s', (action, reason, runs) => {
  expect(planOne([...runs])).toMatchObject({ action, reason })
})

test('a lost run goes on from its checkpoint', () => {
  const lost = run(1, 'a', 0, 'lost')
  const planned = planOne([{ ...lost, state: { ...lost.state, checkpoint: 300 } }])
  expect(planned.reason).toBe('lost as run1, from its checkpoint of step 300')
})

test.each(['stopped', 'lost', 'preempted'] as const)(
  'a run that was given up and is %s is taken up only when asked',
  (status) => {
    const runs = [run(1, 'a', 0, status, { givenUp: 'early stop: hopeless' })]
    expect(planOne(runs)).toMatchObject({
      action: 'skip',
      reason: 'given up as run1: early stop: hopeless (--retry stopped goes on with it)',
    })
    expect(planOne(runs, { retry: new Set(['stopped']) })).toMatchObject({
      action: 'retry',
      reason: 'given up as run1: early stop: hopeless; from the beginning',
      run: 'run1',
    })
  },
)

test('a failed point is tried again when asked, in the same run', () => {
  const options = { retry: new Set<RunStatus>(['failed']) }
  expect(planOne([run(1, 'a', 0, 'failed')], options)).toMatchObject({ action: 'retry', run: 'run1' })
})

test('a finished point is trained anew when asked, beside its run', () => {
  expect(planOne([run(1, 'a', 0, 'finished')], { since: 5 })).toMatchObject({
    action: 'new',
    reason: 'again, beside run1',
    run: null,
  })
  expect(planOne([run(1, 'a', 0, 'finished'), run(6, 'a', 0, 'running')], { since: 5 }).run).toBe('run6')
})

test('other code is named, and never a reason to train again', () => {
  const planned = planOne([run(1, 'a', 0, 'finished', { commit: 'abcdefghij' })], { commit: 'zzz' })
  expect(planned).toMatchObject({ action: 'skip', reason: 'finished as run1 with other code (abcdefg)' })
})

const status = fc.constantFrom<RunStatus>('queued', 'running', 'finished', 'stopped', 'failed', 'lost', 'preempted')
const runs = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(2), status), { maxLength: 12 })
  .map((list) => list.map(([hash, seed, s], i) => run(i + 1, hash, seed, s)))
const points = fc
  .uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(2)), { selector: ([h, s]) => h + s })
  .map((list) => list.map(([hash, seed]) => point(hash, seed)))

test('every point is planned once, in order, with a run of its own configuration and seed', () => {
  fc.assert(
    fc.property(points, runs, fc.nat(12), (all, known, since) => {
      const plan = planSweep(all, known, { since })
      expect(plan.map(({ planned }) => planned.key)).toEqual(all.map(({ key }) => key))
      for (const { planned, point } of plan) {
        const found = known.find(({ id }) => id === planned.run)
        expect(planned.run === null).toBe(found === undefined)
        expect(planned.action === 'new').toBe(planned.run === null)
        if (found) expect([found.configHash, found.seed]).toEqual([point.configHash, point.seed])
      }
    }),
  )
})

test('what is finished is never trained again unless asked, and what is under way never twice', () => {
  fc.assert(
    fc.property(points, runs, fc.nat(12), (all, known, since) => {
      for (const { planned, point } of planSweep(all, known, { since })) {
        const own = known.filter(
          (r) => r.configHash === point.configHash && r.seed === point.seed && r.created >= since,
        )
        const has = (s: RunStatus) => own.some(({ state }) => state.status === s)
        if (has('finished')) expect(planned.action).toBe('skip')
        else if (has('running')) expect(planned.action).toBe('running')
      }
    }),
  )
})

test('the plan does not depend on the order of the runs', () => {
  fc.assert(
    fc.property(points, runs, (all, known) => {
      expect(planSweep(all, [...known].reverse())).toEqual(planSweep(all, known))
    }),
  )
})
