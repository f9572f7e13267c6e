import { EXIT, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Store } from './open.ts'

/**
 * The number of the run that a person names: `run12`, `12`, `@last` (the newest), `@best` (highest final mIoU under the newest
 * protocol) or `tag:x` (the newest with that tag). UserError with exit code 4 when there is none.
 */
export function resolveRunName(store: Store, name: string): number {
  const id = find(store, name)
  if (id !== undefined) return id
  const count = (store.sql('SELECT count(*) AS n FROM runs WHERE removed IS NULL').get() as { n: number }).n
  throw new UserError(`there is no run ${printable(name)} in ${store.home}.`, {
    hint:
      count === 0
        ? 'there are no runs yet: gvx sweep ablations/stages.yaml makes some'
        : 'gvx runs lists the runs; a run is named run12, 12, @last, @best or tag:x',
    exitCode: EXIT.nothingFound,
  })
}

function find(store: Store, name: string): number | undefined {
  const id = (text: string, ...values: unknown[]) => (store.sql(text).get(...values) as { id: number } | undefined)?.id
  const number = /^(?:run)?(\d{1,9})$/.exec(name)
  if (number) return id('SELECT id FROM runs WHERE id = ?', Number(number[1]))
  if (name === '@last') return id('SELECT id FROM runs WHERE removed IS NULL ORDER BY id DESC LIMIT 1')
  if (name === '@best')
    return id(
      `SELECT number AS id FROM v_evaluations v JOIN runs r ON r.id = v.number
       WHERE newest_final AND v.name = 'mIoU' AND value IS NOT NULL AND removed IS NULL AND protocol = (
         SELECT p.hash FROM evaluations e JOIN protocols p ON p.id = e.protocol WHERE e.purpose = 'final'
         ORDER BY e.t DESC, e.id DESC LIMIT 1)
       ORDER BY value DESC, number LIMIT 1`,
    )
  if (name.startsWith('tag:'))
    return id(
      'SELECT run AS id FROM tags JOIN runs ON runs.id = run WHERE tag = ? AND removed IS NULL ORDER BY run DESC LIMIT 1',
      name.slice(4),
    )
  return undefined
}
