import { closeSync, openSync } from 'node:fs'
import { fileWriter, ParquetWriter } from 'hyparquet-writer'
import type { ViewColumn } from '../store/export.ts'

/** Rows that are held in memory at once, and rows of a group of the file. */
const GROUP = 100_000

const ELEMENTS = {
  integer: { type: 'INT64' },
  real: { type: 'DOUBLE' },
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
} as const

type Value = string | number | null

/**
 * Writes rows into a new Parquet file (Snappy), group by group, so that ten million of them fit into memory.
 * Returns how many there were. Throws where the file exists already.
 */
export function writeParquet(
  file: string,
  columns: readonly ViewColumn[],
  rows: Iterable<Record<string, Value>>,
  signal: AbortSignal,
): number {
  closeSync(openSync(file, 'wx', 0o600))
  const writer = new ParquetWriter({
    writer: fileWriter(file),
    schema: [
      { name: 'root', num_children: columns.length },
      ...columns.map(({ name, type }) => ({ name, repetition_type: 'OPTIONAL' as const, ...ELEMENTS[type] })),
    ],
    createdBy: 'gvx',
  })
  let count = 0
  let group = columns.map((): (string | number | bigint | null)[] => [])
  const flush = () => {
    if (group[0].length > 0)
      writer.write({
        columnData: columns.map(({ name }, i) => ({ name, data: group[i] })),
        rowGroupSize: GROUP,
      })
    group = columns.map(() => [])
  }
  for (const row of rows) {
    signal.throwIfAborted()
    for (const [i, { name, type }] of columns.entries()) {
      const value = row[name]
      group[i].push(type === 'integer' && typeof value === 'number' ? BigInt(value) : value)
    }
    count++
    if (group[0].length === GROUP) flush()
  }
  flush()
  writer.finish()
  return count
}
