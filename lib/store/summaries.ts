import type { Store } from './open.ts'
import { kindOf } from './schema.ts'

type Batch = { first: number; last: number; points: { step: number; value: number }[]; inOrder: boolean }

/**
 * The one row for each metric of a run from which lists, tables and the leaderboard read, so that they never scan points.
 * Points beyond the last one known are folded in; anything else makes the row be computed from the points again.
 */
export function createSummaries(store: Store, run: number) {
  const { sql } = store
  const touched = new Map<number, Batch>()
  const stale = new Set<number>()

  function write(): void {
    for (const [name, batch] of touched) {
      const old = sql('SELECT last_step FROM summaries WHERE run = ? AND name = ?').get(run, name)
      const lastStep = (old as { last_step: number } | undefined)?.last_step
      if (!stale.has(name) && batch.inOrder && batch.first > (lastStep ?? -1))
        append(name, batch, lastStep === undefined)
      else stale.add(name)
    }
    for (const name of stale) compute(name)
    touched.clear()
    stale.clear()
  }

  function append(name: number, { points }: Batch, isNew: boolean): void {
    let min: { step: number; value: number } | null = null
    let max: { step: number; value: number } | null = null
    let nonFinite = 0
    for (const point of points) {
      if (!Number.isFinite(point.value)) nonFinite++
      else {
        if (min === null || point.value < min.value) min = point
        if (max === null || point.value > max.value) max = point
      }
    }
    const last = points.at(-1)!
    const kind = kindOf(last.value)
    if (isNew) {
      const firstKind = kindOf(points[0].value)
      sql(
        `INSERT INTO summaries (run, name, count, non_finite, first_step, first, first_kind, last_step, last_kind)
         VALUES (?, ?, 0, 0, ?, ?, ?, 0, 0)`,
      ).run(run, name, points[0].step, firstKind === 0 ? points[0].value : null, firstKind)
    }
    sql(
      `UPDATE summaries SET count = count + @count, non_finite = non_finite + @nonFinite, last_step = @lastStep, last = @last,
       last_kind = @kind,
       min_step = CASE WHEN @min IS NOT NULL AND (min IS NULL OR @min < min) THEN @minStep ELSE min_step END,
       min = CASE WHEN @min IS NOT NULL AND (min IS NULL OR @min < min) THEN @min ELSE min END,
       max_step = CASE WHEN @max IS NOT NULL AND (max IS NULL OR @max > max) THEN @maxStep ELSE max_step END,
       max = CASE WHEN @max IS NOT NULL AND (max IS NULL OR @max > max) THEN @max ELSE max END
       WHERE run = @run AND name = @name`,
    ).run({
      run,
      name,
      count: points.length,
      nonFinite,
      lastStep: last.step,
      last: kind === 0 ? last.value : null,
      kind,
      min: min?.value ?? null,
      minStep: min?.step ?? null,
      max: max?.value ?? null,
      maxStep: max?.step ?? null,
    })
  }

  function compute(name: number): void {
    sql('DELETE FROM summaries WHERE run = ? AND name = ?').run(run, name)
    sql(
      `WITH p AS MATERIALIZED (SELECT step, kind, value FROM metrics WHERE run = @run AND name = @name)
       INSERT INTO summaries (run, name, count, non_finite, first_step, first, first_kind, last_step, last, last_kind, min, min_step, max, max_step)
       SELECT @run, @name, count(*), sum(kind <> 0), min(step),
         (SELECT value FROM p ORDER BY step LIMIT 1), (SELECT kind FROM p ORDER BY step LIMIT 1), max(step),
         (SELECT value FROM p ORDER BY step DESC LIMIT 1), (SELECT kind FROM p ORDER BY step DESC LIMIT 1),
         (SELECT value FROM p WHERE kind = 0 ORDER BY value, step LIMIT 1), (SELECT step FROM p WHERE kind = 0 ORDER BY value, step LIMIT 1),
         (SELECT value FROM p WHERE kind = 0 ORDER BY value DESC, step LIMIT 1), (SELECT step FROM p WHERE kind = 0 ORDER BY value DESC, step LIMIT 1)
       FROM p HAVING count(*) > 0`,
    ).run({ run, name })
  }

  return {
    touch(name: number, step: number, value: number): void {
      const batch = touched.get(name)
      if (!batch) {
        touched.set(name, { first: step, last: step, points: [{ step, value }], inOrder: true })
        return
      }
      if (step <= batch.last) batch.inOrder = false
      batch.last = step
      if (batch.inOrder) batch.points.push({ step, value })
    },
    recompute: (name: number) => void stale.add(name),
    write,
  }
}
