import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSafetensors, type StoredTensor } from '../../lib/tensor/safetensors.ts'

/**
 * The reference numbers: test/fixtures/golden (a subset of the whole set), or the folder that GVX_GOLDEN names.
 * Its README.md says how every file was made.
 */
const GOLDEN = process.env.GVX_GOLDEN ?? fileURLToPath(new URL('../fixtures/golden', import.meta.url))

/** Whether the set has this file: a test whose file is missing is skipped, with the name of the file in its title. */
export const hasGolden = (file: string): boolean => existsSync(join(GOLDEN, file))

/** The folders of models in the set: two_stage, one_stage, … */
export const goldenModels = (): string[] =>
  readdirSync(GOLDEN, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && hasGolden(join(entry.name, 'weights.safetensors')))
    .map((entry) => entry.name)
    .sort()

export const goldenTensors = (file: string): Map<string, StoredTensor> =>
  readSafetensors(readFileSync(join(GOLDEN, file)), file)

export const goldenJson = <T>(file: string): T => JSON.parse(readFileSync(join(GOLDEN, file), 'utf8')) as T

/** Largest difference of two lists of numbers, over the largest absolute value of the expected one. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity
  let difference = 0
  let largest = 0
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i] - expected[i])
    if (!(d <= difference)) difference = d
    largest = Math.max(largest, Math.abs(expected[i]))
  }
  return difference === 0 ? 0 : difference / largest
}
