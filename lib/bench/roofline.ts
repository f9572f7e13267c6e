import type { Cost } from './worker.ts'

/** A kind of kernel beside what the machine allows. */
export type KernelShare = {
  kernel: string
  calls: number
  /** Of a step, all threads together. */
  milliseconds: number
  /** Of the time of the step on all threads. */
  share: number
  /** 1e9 operations a second, and bytes a second. */
  gigaflops: number
  gigabytes: number
  /** Which ceiling is lower at this many operations a byte, and how much of it is reached. */
  bound: 'arithmetic' | 'memory'
  shareOfBound: number
}

export type Profile = {
  milliseconds: number
  threads: number
  kernels: KernelShare[]
  /** In C++ but in no kernel: copies, waiting for other threads. Of the calling thread. */
  aroundMilliseconds: number
  /** In JavaScript: tfjs, the tape, noise, the collector of garbage. Of the calling thread. */
  javascriptMilliseconds: number
  /** 1e9 operations a second of one core, and bytes a second of memory. */
  peakGigaflops: number
  peakGigabytes: number
}

/** Operations of the matrix products of one step, those of attention among them. */
export const operationsOf = ({ kernels }: Cost): number =>
  kernels
    .filter(({ kernel }) => kernel === 'products' || kernel.startsWith('attention'))
    .reduce((sum, { operations }) => sum + operations, 0)

/** Where the time of a step goes, against the roofline of the machine: the lower one of arithmetic and memory. */
export function rooflineOf(cost: Cost, threads: number): Profile {
  const { milliseconds, insideSeconds, fmaPeak, memoryBandwidth } = cost
  const bandwidth = memoryBandwidth / threads // a thread's part of it, as the seconds are those of threads
  const kernels = cost.kernels
    .filter(({ calls }) => calls > 0)
    .map(({ kernel, calls, seconds, operations, bytes }): KernelShare => {
      const arithmetic = operations / fmaPeak
      const memory = bytes / bandwidth
      return {
        kernel,
        calls,
        milliseconds: seconds * 1e3,
        share: (seconds * 1e3) / (milliseconds * threads),
        gigaflops: operations / seconds / 1e9,
        gigabytes: bytes / seconds / 1e9,
        bound: arithmetic >= memory ? 'arithmetic' : 'memory',
        shareOfBound: Math.max(arithmetic, memory) / seconds,
      }
    })
    .sort((a, b) => b.milliseconds - a.milliseconds)
  const inKernels = kernels.reduce((sum, kernel) => sum + kernel.milliseconds, 0) / threads
  return {
    milliseconds,
    threads,
    kernels,
    aroundMilliseconds: Math.max(0, insideSeconds * 1e3 - inKernels),
    javascriptMilliseconds: Math.max(0, milliseconds - insideSeconds * 1e3),
    peakGigaflops: fmaPeak / 1e9,
    peakGigabytes: memoryBandwidth / 1e9,
  }
}
