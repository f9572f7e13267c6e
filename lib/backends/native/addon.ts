import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

type F32 = Float32Array
type Optional = F32 | null

/** The functions of src/addon.cc. Arrays are row-major; none of them checks lengths, so the callers must. */
export type Addon = {
  isa(): string
  cores(): number
  setThreads(threads: number): void
  /** Bytes from the beginning of an array to the next cache line. */
  misalignment(array: F32): number
  /** Begins to count what the kernels cost (1), or stops (0). */
  profile(on: number): void
  /** Calls, seconds, operations and bytes of each kind of kernel, and the seconds spent inside: see profile.ts. */
  readProfile(out: Float64Array): void
  /** Operations a second of one core at best. */
  fmaPeak(): number
  /** Bytes a second to and from memory, with the threads of the pool. */
  memoryBandwidth(): number
  /** C [batch, M, N] = A @ B + bias; strides of rows and columns, and the step from one matrix of the batch to the next. */
  gemm(
    ...args: [
      a: F32,
      aRow: number,
      aColumn: number,
      aStep: number,
      b: F32,
      bRow: number,
      bColumn: number,
      bStep: number,
      c: F32,
      batch: number,
      m: number,
      n: number,
      k: number,
      bias: Optional,
    ]
  ): void
  unary(op: number, x: F32, y: F32, alpha: number): void
  binary(op: number, a: F32, b: F32, y: F32, shape: Int32Array, aStrides: Int32Array, bStrides: Int32Array): void
  reduce(kind: number, x: F32, y: F32, outer: number, reduced: number, inner: number): void
  argmax(x: F32, y: Int32Array, outer: number, reduced: number, inner: number): void
  softmax(x: F32, y: F32, outer: number, reduced: number, inner: number): void
  softmaxGrad(dy: F32, y: F32, dx: F32, outer: number, reduced: number, inner: number, factor: number): void
  transpose(x: F32, y: F32, shape: Int32Array, permutation: Int32Array): void
  copyRows(
    ...args: [
      from: F32,
      offset: number,
      stride: number,
      to: F32,
      offset: number,
      stride: number,
      rows: number,
      n: number,
    ]
  ): void
  gather(table: F32, ids: Int32Array, y: F32, width: number): void
  scatterAdd(x: F32, ids: Int32Array, y: F32, rows: number, width: number): void
  /** `packed`: w after packWeight, or null. */
  linear(
    ...args: [
      rows: number,
      i: number,
      o: number,
      act: number,
      x: F32,
      w: F32,
      b: Optional,
      pre: Optional,
      y: F32,
      packed: Optional,
    ]
  ): void
  /** w [o, i] in the order in which products read it, and back, where it lies; o is a multiple of weightPanel(). */
  weightPanel(): number
  packWeight(w: F32, i: number, o: number): void
  unpackWeight(w: F32, i: number, o: number): void
  layerNorm(x: F32, g: F32, b: F32, y: F32, mean: F32, rstd: F32, rows: number, n: number, eps: number): void
  layerNormGrad(
    ...args: [dy: F32, x: F32, g: F32, mean: F32, rstd: F32, dx: F32, dg: F32, db: F32, rows: number, n: number]
  ): void
  l2Normalize(x: F32, y: F32, inverse: F32, rows: number, n: number, eps: number): void
  l2NormalizeGrad(dy: F32, y: F32, inverse: F32, dx: F32, rows: number, n: number): void
  attention(...args: [...AttentionShape, q: F32, k: F32, v: F32, y: F32, logSum: Optional]): void
  attentionGrad(
    ...args: [...AttentionShape, dy: F32, q: F32, k: F32, v: F32, logSum: F32, dq: F32, dk: F32, dv: F32]
  ): void
  /**
   * `saved`: q, k, v and attended, and for a backward pass also middle, log sums and perhaps pre (struct EncoderSaved).
   * `packed`: q, k, v, out, fc1 and fc2 after packWeight, or null; an empty list for none.
   */
  encoderLayer(...args: [...EncoderShape, weights: F32[], x: F32, y: F32, saved: Optional[], packed: Optional[]]): void
  /** Numbers of memory that encoderLayerGrad works in. */
  encoderGradWork(...shape: EncoderShape): number
  encoderLayerGrad(
    ...args: [...EncoderShape, weights: F32[], x: F32, dy: F32, saved: Optional[], dx: F32, gradients: F32[], work: F32]
  ): void
  assign(
    ...args: [x: F32, noise: Optional, soft: F32, hard: Optional, b: number, g: number, n: number, temperature: number]
  ): void
  crossEntropy(logits: F32, targets: F32, probabilities: F32, rows: number, n: number): number
  crossEntropyGrad(probabilities: F32, targets: F32, factor: number, dx: F32, rows: number, n: number): void
  batchNorm(
    ...args: [
      x: F32,
      g: F32,
      b: F32,
      y: F32,
      unit: F32,
      inverse: F32,
      mean: F32,
      variance: F32,
      rows: number,
      n: number,
      eps: number,
    ]
  ): void
  batchNormGrad(
    ...args: [dy: F32, unit: F32, inverse: F32, g: F32, dx: F32, dg: F32, db: F32, rows: number, n: number]
  ): void
  sumOfSquares(x: F32): number
  adamw(...args: [...AdamWArrays, ...AdamWNumbers]): void
  /** `moments` and `gradients` have an entry a row of the parameter: see adamwTableInPlace. */
  adamwTable(...args: [...AdamWArrays, ...AdamWNumbers, moments: Int32Array, gradients: Int32Array]): void
  resizeBilinear(
    ...args: [
      x: F32,
      y: F32,
      batch: number,
      height: number,
      width: number,
      channels: number,
      newHeight: number,
      newWidth: number,
      alignCorners: number,
      halfPixelCenters: number,
    ]
  ): void
}

type AttentionShape = [
  batch: number,
  heads: number,
  queries: number,
  keys: number,
  headSize: number,
  scale: number,
  causal: number,
]

type AdamWArrays = [parameter: F32, first: F32, second: F32, gradient: F32]
type AdamWNumbers = [
  gradientScale: number,
  stepSize: number,
  beta1: number,
  beta2: number,
  eps: number,
  inverseSqrtCorrection2: number,
  decay: number,
]

/** struct EncoderLayer of src/ops.h. */
export type EncoderShape = [
  rows: number,
  channels: number,
  hidden: number,
  heads: number,
  samples: number,
  longest: number,
  scale: number,
  eps: number,
  causal: number,
  activation: number,
  starts: Int32Array | null,
  prefixStarts: Int32Array | null,
  prefixes: Int32Array | null,
  attentionFactor: Optional,
  mlpFactor: Optional,
]

/** Loads what build.cjs has compiled, or says why there is nothing to load. */
export function loadAddon(): { addon: Addon } | { reason: string } {
  const build = join(packageRoot(dirname(fileURLToPath(import.meta.url))), 'build')
  const binary = join(build, 'gvx_native.node')
  if (!existsSync(binary)) {
    const reason = join(build, 'gvx_native.txt')
    return {
      reason: existsSync(reason)
        ? readFileSync(reason, 'utf8').split('\n')[0]
        : 'it was not built; npm rebuild does it',
    }
  }
  try {
    return { addon: createRequire(import.meta.url)(binary) as Addon }
  } catch (error) {
    return { reason: `${binary} cannot be loaded: ${(error as Error).message.split('\n')[0]}` }
  }
}

/** The folder of package.json: this module lies in lib/ in a checkout and in dist/ in the package. */
const packageRoot = (from: string): string =>
  existsSync(join(from, 'package.json')) ? from : packageRoot(dirname(from))
