import type { Tensor } from '../../../tensor/tf.ts'
import type { EncoderShape } from '../addon.ts'
import type { NativeBackend } from '../backend.ts'
import { holdArray, holdTensor, record, taping, tensorOf } from '../tape.ts'
import { ACTIVATION, type Activation } from './linear.ts'

/** Matrices are [out, in]. The order is that of `struct EncoderWeights` in src/ops.h. */
const ENCODER_WEIGHTS = [
  'norm1',
  'norm1Bias',
  'q',
  'qBias',
  'k',
  'kBias',
  'v',
  'vBias',
  'out',
  'outBias',
  'norm2',
  'norm2Bias',
  'fc1',
  'fc1Bias',
  'fc2',
  'fc2Bias',
] as const
/** The matrices among them, in the order of `struct EncoderPacked`. */
const MATRICES = ['q', 'k', 'v', 'out', 'fc1', 'fc2'] as const
export type EncoderWeights = Record<(typeof ENCODER_WEIGHTS)[number], Tensor>

/** Samples of different lengths one after the other, x [R, C], of which each may go on from rows of those before it. */
export type Sequences = {
  /** The rows of sample s are starts[s] to starts[s + 1]. */
  starts: Int32Array
  /** Before them come the rows prefixes[prefixStarts[s]] to prefixes[prefixStarts[s + 1]]. */
  prefixes: Int32Array
  prefixStarts: Int32Array
  /** Rows of the longest sample with those before it. */
  longest: number
}

export type EncoderOptions = {
  heads: number
  activation: Activation
  causal: boolean
  eps: number
  /** Without it x is [B, N, C]. */
  sequences?: Sequences
  /** What the attention and the MLP of each sample are multiplied by before they are added; null for 1. */
  factors?: [attention: Float32Array | null, mlp: Float32Array | null]
}

/**
 * What goes into the activation of an MLP is kept for the backward pass or computed again there, which gives the same
 * numbers. A layer with few of them keeps them. From MANY_CHANNELS on the product takes longer than memory does (6 % of a
 * step of ViT-S), so more are kept, until all layers together have MOST_KEPT (256 MB): with large batches they would be
 * four tenths of all that is kept.
 */
const FEW_KEPT = 1.5 * 2 ** 20
const MANY_CHANNELS = 192
const MOST_KEPT = 2 ** 26

/** Those numbers of the layers whose backward pass is still to come. */
let kept = 0

/**
 * A pre-norm transformer layer, forward and backward, as one operation. Kept for the backward pass are x, q, k, v, what
 * attention gives, the sum after it and what goes into the activation; layer norms and the activation are made again.
 */
export function encoderLayer(
  backend: NativeBackend,
  x: Tensor,
  weights: EncoderWeights,
  options: EncoderOptions,
): Tensor {
  const { addon, buffers } = backend
  const shape = shapeOf(x, weights, options)
  const [rows, channels, hidden, heads] = shape
  const arrays = () => ENCODER_WEIGHTS.map((name) => backend.values(weights[name]))
  const out = buffers.take(x.size)
  const matrices = [1, 1, 1, 1].map(() => buffers.take(rows * channels)) // q, k, v, attended
  if (!taping()) {
    const packed = new Map<string, Float32Array | null>(MATRICES.map((name) => [name, backend.packed(weights[name])]))
    const each = ENCODER_WEIGHTS.map((name) => packed.get(name) ?? backend.values(weights[name]))
    addon.encoderLayer(...shape, each, backend.values(x), out, matrices, [...packed.values()])
    for (const array of matrices) buffers.give(array)
    return tensorOf(backend, x.shape, out)
  }
  const results = [...matrices, buffers.take(rows * channels), buffers.take(rows * heads)] // and middle, the sums
  const pre = keeps(rows * hidden, channels) ? buffers.take(rows * hidden) : null
  const saved = [...results, pre]
  addon.encoderLayer(...shape, arrays(), backend.values(x), out, saved, [])
  const y = tensorOf(backend, x.shape, out)
  const inputs = { x, ...weights }
  const held = [
    ...Object.values(inputs).map((t) => holdTensor(backend, t)),
    ...results.map((array) => holdArray(backend, array)),
  ]
  if (pre) held.push(holdPre(backend, pre))
  record('GvxEncoderLayer', inputs, y, held, (dy) => {
    const work = buffers.take(addon.encoderGradWork(...shape))
    const dx = buffers.take(x.size)
    const gradients = ENCODER_WEIGHTS.map((name) => buffers.take(weights[name].size))
    addon.encoderLayerGrad(...shape, arrays(), backend.values(x), backend.values(dy), saved, dx, gradients, work)
    buffers.give(work)
    const tensors = Object.fromEntries(
      ENCODER_WEIGHTS.map((name, i) => [name, tensorOf(backend, weights[name].shape, gradients[i])]),
    )
    const made: Record<string, Tensor> = { ...tensors, x: tensorOf(backend, x.shape, dx) }
    return Object.fromEntries(Object.entries(made).map(([name, tensor]) => [name, () => tensor]))
  })
  return y
}

const keeps = (size: number, channels: number): boolean =>
  size <= FEW_KEPT || (channels >= MANY_CHANNELS && kept + size <= MOST_KEPT)

/** Like holdArray, and counted. */
function holdPre(backend: NativeBackend, pre: Float32Array): ReturnType<typeof holdArray> {
  const held = holdArray(backend, pre)
  kept += pre.length
  return {
    dispose() {
      kept -= pre.length
      held.dispose()
    },
  }
}

function shapeOf(x: Tensor, { fc1 }: EncoderWeights, options: EncoderOptions): EncoderShape {
  const { heads, activation, causal, eps, sequences, factors } = options
  const channels = x.shape[x.rank - 1]!
  const rows = x.size / channels
  const samples = sequences ? sequences.starts.length - 1 : x.shape[0]!
  const longest = sequences ? sequences.longest : x.shape[1]!
  const ofRows = (ofSamples: Float32Array | null | undefined) => {
    if (!ofSamples) return null
    const all = new Float32Array(rows)
    ofSamples.forEach((factor, i) => {
      all.fill(factor, i * longest, (i + 1) * longest)
    })
    return all
  }
  const scale = (channels / heads) ** -0.5
  return [
    rows,
    channels,
    fc1.shape[0]!,
    heads,
    samples,
    longest,
    scale,
    eps,
    causal ? 1 : 0,
    ACTIVATION[activation],
    sequences?.starts ?? null,
    sequences?.prefixStarts ?? null,
    sequences?.prefixes ?? null,
    ofRows(factors?.[0]),
    ofRows(factors?.[1]),
  ]
}
