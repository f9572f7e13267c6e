import type { LoggedEvent } from '../core/events.ts'
import { median } from '../core/statistics.ts'
import type { Observe } from '../core/updates.ts'
import type { SweepFile } from './spec.ts'

type Rule = NonNullable<SweepFile['spec']['earlyStop']>
type Metric = SweepFile['spec']['metric']
type Curve = { step: number; value: number }[]

/** Follows a sweep's metric in all runs, and says which of them are hopeless. */
export type Judge = {
  observe: Observe
  /** Why a run should end before its time, or null. */
  verdict(run: string): string | null
}

/**
 * The median rule as Optuna's MedianPruner has it (after Golovin et al. 2017, "Google Vizier", section 3.2.2): a run is hopeless when the best
 * that it has reached is worse than the median of what the finished runs had at the same step. Where a finished run was not measured at
 * that step, its measurement before counts. NaN is worse than everything.
 */
export function createJudge({ after, minRuns }: Rule, { name, goal }: Metric): Judge {
  const curves = new Map<string, Curve>()
  const finished = new Set<string>()
  const better = (a: number, b: number): boolean => (goal === 'max' ? a > b : a < b)

  function valueBefore(run: string, step: number): number | undefined {
    const value = curves.get(run)?.findLast((point) => point.step <= step)?.value
    return value !== undefined && Number.isFinite(value) ? value : undefined
  }

  return {
    observe(update) {
      if (update.type === 'run.events')
        curves.set(update.run, update.events.reduce(addTo(name), curves.get(update.run) ?? []))
      else if (update.type === 'run.status' && update.status === 'finished') finished.add(update.run)
    },
    verdict(run) {
      const curve = curves.get(run) ?? []
      const step = curve.at(-1)?.step
      if (step === undefined || step < after) return null
      const others = [...finished].flatMap((other) => (other === run ? [] : (valueBefore(other, step) ?? [])))
      if (others.length < minRuns) return null
      const middle = median(others)
      const finite = curve.map(({ value }) => value).filter(Number.isFinite)
      const best = finite.length > 0 ? finite.reduce((a, b) => (better(b, a) ? b : a)) : Number.NaN
      if (!Number.isNaN(best) && !better(middle, best)) return null
      return `early stop: ${name} reached ${short(best)} in ${step} steps, the median of ${others.length} finished runs there is ${short(middle)}`
    },
  }
}

/** The curve with what an event adds; an attempt that goes on from a checkpoint says again what came after it. */
const addTo =
  (name: string) =>
  (curve: Curve, event: LoggedEvent): Curve => {
    if (event.type === 'run.started') return curve.filter(({ step }) => step <= event.resumedFrom)
    const value =
      event.type === 'metric'
        ? event.values[name]
        : event.type === 'eval.finished' && event.purpose === 'during' && name.startsWith(`eval/${event.dataset}/`)
          ? event.values[name.slice(`eval/${event.dataset}/`.length)]
          : undefined
    return value === undefined || !('step' in event) ? curve : [...curve, { step: event.step, value }]
  }

const short = (value: number): string => String(Number(value.toPrecision(4)))
