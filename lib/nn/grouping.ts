import { assignGroups, type Params, softmaxAxis, type Tensor, tf, tidy } from '../tensor/index.ts'
import { crossAttention, dense, mixer, mlp, norm } from './layers.ts'

export type AssignmentOptions = {
  mode: 'hard' | 'soft'
  /** Of the softmax that is used (soft) or whose gradient is (hard). */
  temperature: number
  /** Factor on the products of queries and keys. */
  scale: number
  /** Merge by sum instead of by mean. */
  sum: boolean
  /** Added to the number of tokens of a group before dividing by it. */
  eps: number
  heads: number
  /** Gumbel(0, 1) numbers for logits of a shape, or null for none. */
  noise: ((shape: number[]) => Tensor) | null
}

/** How the tokens of one grouping block were assigned, each [B, G, N] and before the division by the row sum. */
export type Assignment = {
  /** Scaled products of queries and keys, without noise. */
  logits: Tensor
  /** softmax over the groups. */
  soft: Tensor
  /** One-hot of the best group. */
  hard: Tensor
}

/**
 * The grouping block (paper §3.2, and the parts of the code that the paper leaves out): the group tokens are mixed to
 * the number of output groups, look at the tokens by cross-attention, and then each token goes to one of them.
 * tokens [B, N, C], groups [B, G', C] -> segments [B, G, C]. Assignments are made only when there is no noise to add
 * to them and somebody will look at them (`withMaps`).
 */
export function groupingBlock(
  params: Params,
  prefix: string,
  tokens: Tensor,
  groups: Tensor,
  options: AssignmentOptions,
  withMaps: boolean,
): { segments: Tensor; assignment: Assignment | null } {
  return tidy(() => {
    const x = norm(params, `${prefix}norm_x`, tokens)
    const mixed = mixer(params, `${prefix}mlp_inter`, norm(params, `${prefix}norm_tokens`, groups)) // [B, G, C]
    const seeds = lookAtTokens(params, prefix, norm(params, `${prefix}norm_post_tokens`, mixed), x, options.heads)

    const q = tf.mul(dense(params, `${prefix}assign.q_proj`, seeds), options.scale)
    const k = dense(params, `${prefix}assign.k_proj`, x)
    const v = dense(params, `${prefix}assign.v_proj`, x)
    const logits = tf.matMul(q, k, false, true) // [B, G, N] <- [B, G, C] @ [B, N, C]ᵀ
    const noise = options.noise?.(logits.shape) ?? null
    const map = assignGroups(logits, { mode: options.mode, temperature: options.temperature, noise })
    const merged = dense(params, `${prefix}assign.proj`, merge(map, v, options))

    const y = tf.add(merged, seeds)
    const segments = tf.add(y, mlp(params, `${prefix}mlp_channels`, norm(params, `${prefix}norm_new_x`, y)))
    return { segments, assignment: withMaps ? mapsOf(logits, options) : null }
  })
}

/** Cross-attention of the new groups to the tokens: residual, MLP with residual, norm. */
function lookAtTokens(params: Params, prefix: string, groups: Tensor, tokens: Tensor, heads: number): Tensor {
  const name = `${prefix}pre_assign_attn`
  return tidy(() => {
    const attended = tf.add(groups, crossAttention(params, `${name}.attn`, groups, tokens, { heads }))
    const y = tf.add(attended, mlp(params, `${name}.mlp`, norm(params, `${name}.norm2`, attended)))
    return norm(params, `${name}.norm_post`, y)
  })
}

/** map [B, G, N], values [B, N, C] -> [B, G, C]. */
function merge(map: Tensor, values: Tensor, { sum, eps }: AssignmentOptions): Tensor {
  const total = tf.matMul(map, values)
  if (sum) return total
  const count = tf.sum(map, -1, true) // [B, G, 1]
  if (eps > 0) return tf.div(total, tf.add(count, eps))
  // Eq. 5 of the paper divides by the count alone: a group without a token is then zero, and gets no gradient.
  return tf.mul(total, tf.div(tf.step(count), tf.maximum(count, 1e-6)))
}

function mapsOf(logits: Tensor, { mode, temperature }: AssignmentOptions): Assignment {
  const soft = softmaxAxis(mode === 'soft' ? tf.div(logits, temperature) : logits, 1)
  return { logits, soft, hard: assignGroups(logits, { mode: 'hard', temperature: 1 }) }
}
