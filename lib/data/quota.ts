import path from 'node:path'
import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Fault } from './fault.ts'

/** Draws after which the share of bad samples is believed. */
const ENOUGH = 200

/** Counts faults by kind, tells of each once, and throws a UserError when too many samples are bad. */
export function createQuota(limit: number, samplesPerEpoch: number, onFault: (fault: Fault) => void) {
  const seen = new Set<string>()
  const counts: Record<string, number> = {}
  let drawn = 0
  let badSamples = 0

  function add(fault: Fault): boolean {
    const name = JSON.stringify([fault.kind, fault.shard, fault.key])
    if (seen.has(name)) return false
    seen.add(name)
    counts[fault.kind] = (counts[fault.kind] ?? 0) + 1
    onFault(fault)
    return true
  }

  function check(bad: number, of: number, last: Fault | undefined): void {
    if (bad / of <= limit || !last) return
    const where = `${path.basename(last.shard)}${last.key === null ? '' : `, ${last.key}`}`
    const share = `${bad} of ${of} samples are bad, more than data.faultQuota = ${limit}`
    throw new UserError(`${share}; the last: ${printable(where)}: ${printable(last.message)}.`, {
      hint: 'gvx data check SHARDS lists every one; raise data.faultQuota to train without them.',
    })
  }

  return {
    /** Faults of the shards themselves, known before the first sample is drawn. */
    structural(faults: Fault[]): void {
      for (const fault of faults) add(fault)
      check(faults.length, faults.length + samplesPerEpoch, faults.at(-1))
    },
    /** Faults found while `count` samples were drawn. */
    drawn(count: number, faults: Fault[]): void {
      drawn += count
      for (const fault of faults) if (add(fault)) badSamples++
      const epoch = Math.min(drawn, samplesPerEpoch)
      if (epoch >= Math.min(ENOUGH, samplesPerEpoch)) check(badSamples, epoch, faults.at(-1))
    },
    counts: (): Record<string, number> => ({ ...counts }),
  }
}
