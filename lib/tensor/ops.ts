import { nativeBackend } from '../backends/native/current.ts'
import * as native from '../backends/native/fused/index.ts'
import { type Tensor, tf } from './tf.ts'

/**
 * The ops the model is made of. Each is one node on the gradient tape with a hand-written backward pass: tfjs spends
 * about 24 µs on every taped op and keeps what each of them saved, so the compositions below are several times faster
 * and leaner than what automatic differentiation makes of them. A backend that has a kernel for an op gets it here.
 * Shapes: B batch, N tokens, M keys, G groups, C channels, H heads, V vocabulary.
 */

type Save = (tensors: Tensor[]) => void
type Differentiable = { value: Tensor; gradFunc: (dy: Tensor, saved: Tensor[]) => Tensor | Tensor[] }

/** tf.customGrad with the types its documentation promises: `f` gets the inputs and a function that saves tensors. */
function differentiable(inputs: Tensor[], f: (save: Save) => Differentiable): Tensor {
  const wrapped = tf.customGrad(((...args: unknown[]) => f(args.at(-1) as Save)) as never)
  return wrapped(...inputs) as Tensor
}

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)
/** [..., C] as [R, C]: products are two-dimensional, because a broadcasting matMul has no gradient in tfjs. */
const rows = (x: Tensor) => tf.reshape(x, [-1, x.shape[x.shape.length - 1]])

export type Activation = 'gelu' | 'quickGelu' | 'relu'

/** x [..., I] @ wᵀ [I, O] + b [O], then the activation. GELU is the exact one (erf), quickGelu x·σ(1.702x). */
export function linear(x: Tensor, w: Tensor, b: Tensor | null, activation?: Activation): Tensor {
  const backend = nativeBackend()
  if (backend) return native.linear(backend, x, w, b, activation)
  const shape = [...x.shape.slice(0, -1), w.shape[0]]
  return differentiable(b ? [x, w, b] : [x, w], (save) => {
    const x2 = rows(x)
    const product = tf.matMul(x2, w as tf.Tensor2D, false, true) // [R, O] <- [R, I] @ [O, I]ᵀ
    const pre = b ? tf.add(product, b) : product
    save(activation ? [x2, w, pre] : [x2, w])
    return {
      value: tf.reshape(activation ? activate(pre, activation) : pre, shape),
      gradFunc: (dy, [x2, w, pre]) => {
        let d = tf.reshape(dy, [-1, w.shape[0]])
        if (activation) d = tf.mul(d, slope(pre, activation))
        const dx = tf.reshape(tf.matMul(d, w as tf.Tensor2D), x.shape)
        const dw = tf.matMul(d as tf.Tensor2D, x2 as tf.Tensor2D, true, false) // [O, I] <- [R, O]ᵀ @ [R, I]
        return b ? [dx, dw, tf.sum(d, 0)] : [dx, dw]
      },
    }
  })
}

function activate(x: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case 'gelu':
      return tf.mul(x, normalCdf(x))
    case 'quickGelu':
      return tf.mul(x, tf.sigmoid(tf.mul(x, 1.702)))
    case 'relu':
      return tf.relu(x)
    default:
      return activation satisfies never
  }
}

/** The derivative of an activation at x. */
function slope(x: Tensor, activation: Activation): Tensor {
  switch (activation) {
    case 'gelu': {
      const density = tf.mul(tf.exp(tf.mul(tf.square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI))
      return tf.add(normalCdf(x), tf.mul(x, density))
    }
    case 'quickGelu': {
      const s = tf.sigmoid(tf.mul(x, 1.702))
      return tf.mul(s, tf.add(tf.mul(tf.mul(x, 1.702), tf.sub(1, s)), 1))
    }
    case 'relu':
      return tf.step(x)
    default:
      return activation satisfies never
  }
}

const normalCdf = (x: Tensor) => tf.mul(tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1), 0.5)

/** Layer normalisation over the last axis. x [..., C], g [C], b [C]. */
export function layerNorm(x: Tensor, g: Tensor, b: Tensor, eps: number): Tensor {
  const backend = nativeBackend()
  if (backend) return native.layerNorm(backend, x, g, b, eps)
  return differentiable([x, g, b], (save) => {
    const centred = tf.sub(x, tf.mean(x, -1, true))
    const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(centred), -1, true), eps)) // [..., 1]
    const unit = tf.mul(centred, inverse)
    save([unit, inverse, g])
    return {
      value: tf.add(tf.mul(unit, g), b),
      gradFunc: (dy, [unit, inverse, g]) => {
        const d = tf.mul(dy, g)
        const along = tf.mean(tf.mul(d, unit), -1, true)
        const dx = tf.mul(tf.sub(tf.sub(d, tf.mean(d, -1, true)), tf.mul(unit, along)), inverse)
        return [dx, tf.sum(rows(tf.mul(dy, unit)), 0), tf.sum(rows(dy), 0)]
      },
    }
  })
}

export type AttentionOptions = { heads: number; scale: number; causal?: boolean }

/** Multi-head attention. q [B, N, C], k and v [B, M, C] -> [B, N, C]; causal: token i sees keys 0..i. */
export function attention(q: Tensor, k: Tensor, v: Tensor, { heads, scale, causal = false }: AttentionOptions): Tensor {
  const backend = nativeBackend()
  if (backend) return native.attention(backend, q, k, v, { heads, scale, causal })
  return differentiable([q, k, v], (save) => {
    const [qh, kh, vh] = [q, k, v].map((t) => splitHeads(t, heads)) // [B·H, N, C/H]
    let logits: Tensor = tf.mul(tf.matMul(qh, kh, false, true), scale) // [B·H, N, M]
    if (causal) logits = tf.add(logits, causalMask(q.shape[1]!, k.shape[1]!))
    const weights = tf.softmax(logits, -1)
    save([qh, kh, vh, weights])
    return {
      value: mergeHeads(tf.matMul(weights, vh), heads),
      gradFunc: (dy, [qh, kh, vh, weights]) => {
        const d = splitHeads(dy, heads)
        const dWeights = tf.matMul(d, vh, false, true)
        const weighted = tf.mul(dWeights, weights)
        const dLogits = tf.mul(tf.sub(weighted, tf.mul(weights, tf.sum(weighted, -1, true))), scale)
        return [
          mergeHeads(tf.matMul(dLogits, kh), heads),
          mergeHeads(tf.matMul(dLogits, qh, true, false), heads),
          mergeHeads(tf.matMul(weights, d, true, false), heads),
        ]
      },
    }
  })
}

function splitHeads(x: Tensor, heads: number): Tensor {
  const [b, n, c] = x.shape
  if (heads === 1) return x
  return tf.reshape(tf.transpose(tf.reshape(x, [b, n, heads, c / heads]), [0, 2, 1, 3]), [b * heads, n, c / heads])
}

function mergeHeads(x: Tensor, heads: number): Tensor {
  const [bh, n, d] = x.shape
  if (heads === 1) return tf.clone(x)
  return tf.reshape(tf.transpose(tf.reshape(x, [bh / heads, heads, n, d]), [0, 2, 1, 3]), [bh / heads, n, heads * d])
}

/** 0 where a key may be seen, a very negative number where it lies in the future. */
function causalMask(n: number, m: number): Tensor {
  const mask = new Float32Array(n * m)
  for (let i = 0; i < n; i++) mask.fill(-1e9, i * m + i + 1, (i + 1) * m)
  return tf.tensor(mask, [1, n, m])
}

/** softmax over any axis: tf.softmax takes the last one only. */
export function softmaxAxis(x: Tensor, axis: number): Tensor {
  const backend = nativeBackend()
  if (backend) return native.softmaxAxis(backend, x, axis)
  return differentiable([x], (save) => {
    const value = softmaxOver(x, axis)
    save([value])
    return {
      value,
      gradFunc: (dy, [value]) => {
        const d = tf.mul(dy, value)
        return tf.sub(d, tf.mul(value, tf.sum(d, axis, true)))
      },
    }
  })
}

function softmaxOver(x: Tensor, axis: number): Tensor {
  const shifted = tf.exp(tf.sub(x, tf.max(x, axis, true)))
  return tf.div(shifted, tf.sum(shifted, axis, true))
}

export type AssignOptions = {
  /** hard: one-hot of the best group, with the gradient of the softmax (straight-through); soft: the softmax. */
  mode: 'hard' | 'soft'
  /** Divides logits and noise before the softmax. */
  temperature: number
  /** Gumbel(0, 1) numbers of the shape of the logits, added to them; only for hard. */
  noise?: Tensor | null
}

/** Groups compete for each token: logits [B, G, N] -> map [B, G, N] that sums to 1 over the groups. */
export function assignGroups(logits: Tensor, { mode, temperature, noise = null }: AssignOptions): Tensor {
  const backend = nativeBackend()
  if (backend) return native.assignGroups(backend, logits, { mode, temperature, noise })
  return differentiable([logits], (save) => {
    const noisy = noise ? tf.add(logits, noise) : logits
    const soft = softmaxOver(temperature === 1 ? noisy : tf.div(noisy, temperature), 1)
    save([soft])
    return {
      value: mode === 'soft' ? tf.clone(soft) : oneHotOver(noisy),
      gradFunc: (dy, [soft]) => {
        const d = tf.mul(dy, soft)
        const dx = tf.sub(d, tf.mul(soft, tf.sum(d, 1, true)))
        return temperature === 1 ? dx : tf.div(dx, temperature)
      },
    }
  })
}

/** One-hot of the largest along axis 1 of [B, G, N]. Made as int32 and cast: the float32 oneHot of wasm writes int bits. */
function oneHotOver(x: Tensor): Tensor {
  const best = tf.argMax(x, 1) // [B, N]
  return tf.transpose(tf.cast(tf.oneHot(best as tf.Tensor2D, x.shape[1]!, 1, 0, 'int32'), 'float32'), [0, 2, 1])
}

/** x / |x| over the last axis; |x| is kept above 1e-12 as torch's normalize does. */
export function l2Normalize(x: Tensor): Tensor {
  const backend = nativeBackend()
  if (backend) return native.l2Normalize(backend, x)
  return differentiable([x], (save) => {
    const norm = tf.maximum(tf.sqrt(tf.sum(tf.square(x), -1, true)), 1e-12)
    const unit = tf.div(x, norm)
    save([unit, norm])
    return {
      value: unit,
      gradFunc: (dy, [unit, norm]) => tf.div(tf.sub(dy, tf.mul(unit, tf.sum(tf.mul(dy, unit), -1, true))), norm),
    }
  })
}

/** Mean over the rows of −Σ targets·log softmax(logits). logits, targets [N, M]; no gradient goes to the targets. */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  const backend = nativeBackend()
  if (backend) return native.crossEntropy(backend, logits, targets)
  return differentiable([logits], (save) => {
    const shifted = tf.sub(logits, tf.max(logits, -1, true))
    const logProbability = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), -1, true)))
    save([logProbability, targets])
    return {
      value: tf.div(tf.neg(tf.sum(tf.mul(targets, logProbability))), logits.shape[0]!),
      gradFunc: (dy, [logProbability, targets]) => {
        const d = tf.sub(tf.mul(tf.exp(logProbability), tf.sum(targets, -1, true)), targets)
        return tf.mul(d, tf.div(dy, logits.shape[0]!))
      },
    }
  })
}

/** Rows of a table: table [V, C], ids int32 of any shape -> [...ids, C]. */
export function embed(table: Tensor, ids: Tensor): Tensor {
  const backend = nativeBackend()
  if (backend) return native.embed(backend, table, ids)
  return differentiable([table], (save) => {
    const flat = tf.reshape(ids, [-1])
    save([flat])
    return {
      value: tf.reshape(tf.gather(table, flat as tf.Tensor1D), [...ids.shape, table.shape[1]!]),
      gradFunc: (dy, [flat]) => tf.unsortedSegmentSum(rows(dy), flat as tf.Tensor1D, table.shape[0]!),
    }
  })
}

export type Moments = { mean: Tensor; variance: Tensor }

/**
 * Batch normalisation of x [N, C] with gain g and bias b [C]. Given statistics are constants (evaluation); null takes
 * those of the batch (biased variance), through which the gradient flows.
 */
export function batchNorm(x: Tensor, g: Tensor, b: Tensor, statistics: Moments | null, eps: number): Tensor {
  const backend = nativeBackend()
  if (backend && !statistics) return native.batchNorm(backend, x, g, b, eps)
  return differentiable([x, g, b], (save) => {
    const { mean, variance } = statistics ?? batchMoments(x)
    const inverse = tf.rsqrt(tf.add(variance, eps)) // [C]
    const unit = tf.mul(tf.sub(x, mean), inverse)
    save([unit, inverse, g])
    return {
      value: tf.add(tf.mul(unit, g), b),
      gradFunc: (dy, [unit, inverse, g]) => {
        const dg = tf.sum(tf.mul(dy, unit), 0)
        const db = tf.sum(dy, 0)
        const n = x.shape[0]!
        const centred = statistics ? dy : tf.sub(tf.sub(dy, tf.div(db, n)), tf.mul(unit, tf.div(dg, n)))
        return [tf.mul(tf.mul(centred, g), inverse), dg, db]
      },
    }
  })
}

/** Mean and biased variance over the rows of x [N, C]. */
export function batchMoments(x: Tensor): Moments {
  const mean = tf.mean(x, 0)
  return { mean, variance: tf.mean(tf.square(tf.sub(x, mean)), 0) }
}

/** Number of elements of a shape. */
export const sizeOf = size
