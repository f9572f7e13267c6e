import { execFile } from 'node:child_process'

/** What a GPU is doing, as nvidia-smi says; null for what this one does not tell. */
export type GpuState = {
  index: string
  name: string
  /** Share of the last second in which a kernel ran, 0 to 1. */
  busy: number | null
  /** Bytes. */
  memory: { used: number; total: number } | null
  celsius: number | null
  watts: number | null
}

const FIELDS = 'index,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw'
const EVERY_MS = 2000
const MEBIBYTE = 2 ** 20

/**
 * The GPUs as they were at the last answer of nvidia-smi, which is asked again in the background every two seconds of looking. Where there is none,
 * or it fails, the list is empty and nobody asks again.
 */
export function createGpuReader(now: () => number): () => readonly GpuState[] {
  let gpus: readonly GpuState[] = []
  let askedAt = Number.NEGATIVE_INFINITY
  return () => {
    if (now() - askedAt < EVERY_MS) return gpus
    askedAt = Number.POSITIVE_INFINITY // until the answer is there
    execFile(
      'nvidia-smi',
      [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits'],
      { timeout: 10_000 },
      (error, text) => {
        gpus = error ? [] : parseGpus(text)
        if (!error) askedAt = now()
      },
    )
    return gpus
  }
}

/** A line for each GPU, its fields between commas; what the driver does not know stands in brackets: `[N/A]`, `[Not Supported]`. */
function parseGpus(text: string): GpuState[] {
  return text
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length >= FIELDS.split(',').length)
    .map(([index, name, busy, used, total, celsius, watts]) => {
      const [percent, mebibytes, ofMebibytes] = [busy, used, total].map(numberOf)
      return {
        index,
        name,
        busy: percent === null ? null : percent / 100,
        memory:
          mebibytes === null || ofMebibytes === null
            ? null
            : { used: mebibytes * MEBIBYTE, total: ofMebibytes * MEBIBYTE },
        celsius: numberOf(celsius),
        watts: numberOf(watts),
      }
    })
}

const numberOf = (field: string): number | null => (/^-?[\d.]+$/.test(field) ? Number(field) : null)
