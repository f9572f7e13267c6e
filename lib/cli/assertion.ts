import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { LeaderboardGroup } from '../store/leaderboard.ts'

/**
 * `voc.mIoU >= 0.4`: the best mean of a dataset. `two-stage.mIoU > one-stage.mIoU`, or just the names: two means of the first table that has both.
 * Returns null when it holds, else a sentence that says what is the case. UserError for what is no comparison.
 */
export function checkAssertion(text: string, groups: readonly LeaderboardGroup[], metric: string): string | null {
  const match = /^\s*([^<>=!]+?)\s*(<=|>=|<|>|=)\s*([^<>=!]+?)\s*$/.exec(text)
  if (!match)
    throw new UserError(`--assert ${printable(text)}: expected a comparison.`, { hint: "--assert 'voc.mIoU >= 0.4'" })
  const [, left, operator, right] = match
  const table = groups.find((group) => [left, right].every((side) => meanOf(side, group, metric) !== null))
  const named = groups[0] ? [left, right].find((side) => meanOf(side, groups[0], metric) === null) : left
  if (!table) return `cannot tell whether ${text}: ${printable(named ?? left)} is in no table.`
  const [a, b] = [left, right].map((side) => meanOf(side, table, metric)!)
  const holds = { '<': a < b, '<=': a <= b, '>': a > b, '>=': a >= b, '=': a === b }[operator]
  return holds
    ? null
    : `it is not so that ${printable(text)}: ${Number(a.toPrecision(4))} against ${Number(b.toPrecision(4))}.`
}

function meanOf(side: string, group: LeaderboardGroup, metric: string): number | null {
  if (Number.isFinite(Number(side))) return Number(side)
  const name = side.endsWith(`.${metric}`) ? side.slice(0, -metric.length - 1) : side
  if (name === group.dataset) return group.rows.find((row) => row.rank === 1)?.mean ?? Number.NaN
  return group.rows.find((row) => row.name === name)?.mean ?? null
}
