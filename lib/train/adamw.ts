import type { Config } from '../config/schema.ts'
import {
  type AdamWNumbers,
  adamwInPlace,
  liveValues,
  type Params,
  sumOfSquares,
  type Tensor,
  tf,
} from '../tensor/index.ts'

/** The gradient of some rows of a table; that of the others is zero. */
type RowGradient = { name: string; rows: Int32Array; gradient: Tensor }

export type Optimizer = {
  /**
   * Clips the gradients to the global norm and changes the parameters in place. Parameters without a gradient stay as
   * they are. Returns the norm before clipping.
   */
  step(gradients: Params, rowGradients: RowGradient[], learningRate: number): number
  /** Everything a bit-exact continuation needs. The tensors stay the optimizer's, and may change at the next call. */
  state(): Params
  /** Takes over what `state` gave. */
  restore(state: Params): void
  dispose(): void
}

/** Of a table only the rows that have ever had a gradient have moments: its optimizer state is saved by those. */
type Table = { used: Uint8Array; gradient: Tensor }

/**
 * AdamW with decoupled weight decay over the named tensors of `params`, which it changes. The embedding table is not
 * visited row by row: a row that has never had a gradient only decays, which is exactly what AdamW does to it.
 */
export function createAdamW(train: Config['train'], params: Params, names: readonly string[]): Optimizer {
  const [beta1, beta2] = train.betas
  const known = new Set(names)
  const moments = new Map<string, { first: Tensor; second: Tensor }>()
  const tables = new Map<string, Table>()
  let steps = 0
  let packed: Tensor[] = []

  const momentsOf = (name: string) => {
    let found = moments.get(name)
    if (!found) {
      found = { first: tf.keep(tf.zerosLike(params[name])), second: tf.keep(tf.zerosLike(params[name])) }
      moments.set(name, found)
    }
    return found
  }

  function step(gradients: Params, rowGradients: RowGradient[], learningRate: number): number {
    const all = [...Object.values(gradients), ...rowGradients.map(({ gradient }) => gradient)]
    const norm = Math.sqrt(all.reduce((sum, gradient) => sum + sumOfSquares(gradient), 0))
    steps++
    const numbers = {
      // torch's clip_grad_norm_
      gradientScale: Math.min(1, train.clipNorm / (norm + 1e-6)),
      learningRate,
      beta1,
      beta2,
      eps: train.eps,
      correction1: 1 - beta1 ** steps,
      correction2: 1 - beta2 ** steps,
    }
    const decayOf = (name: string) =>
      decays(name, params[name], train.decayRule) ? 1 - learningRate * train.weightDecay : 1
    for (const [name, gradient] of Object.entries(gradients))
      if (known.has(name)) update(name, gradient, { ...numbers, decay: decayOf(name) }, null)
    for (const rowGradient of rowGradients) updateRows(rowGradient, { ...numbers, decay: decayOf(rowGradient.name) })
    return norm
  }

  function update(name: string, gradient: Tensor, numbers: AdamWNumbers, used: Uint8Array | null): void {
    const { first, second } = momentsOf(name)
    const tensors = [params[name], first, second, gradient]
    if (!liveValues(gradient)) {
      const [parameter, m, v] = updated(tensors, numbers)
      moments.set(name, { first: m, second: v })
      params[name] = parameter
      tf.dispose([tensors[0], first, second])
      return
    }
    const [parameter, m, v, g] = tensors.map((tensor) => liveValues(tensor)!)
    adamwInPlace({ parameter, first: m, second: v, gradient: g }, numbers, used)
  }

  function updateRows({ name, rows, gradient }: RowGradient, numbers: AdamWNumbers): void {
    const [count, width] = params[name].shape as number[]
    let table = tables.get(name)
    if (!table) {
      table = { used: new Uint8Array(count), gradient: tf.keep(tf.zeros([count, width])) }
      tables.set(name, table)
    }
    for (const row of rows) table.used[row] = 1
    const values = liveValues(gradient)
    if (!values) {
      const whole = tf.tidy(() => tf.scatterND(tf.tensor2d(rows, [rows.length, 1], 'int32'), gradient, [count, width]))
      update(name, whole, numbers, null)
      whole.dispose()
      return
    }
    const dense = liveValues(table.gradient)!
    rows.forEach((row, i) => {
      dense.set(values.subarray(i * width, (i + 1) * width), row * width)
    })
    update(name, table.gradient, numbers, table.used)
    const zeros = liveValues(table.gradient)!
    for (const row of rows) zeros.fill(0, row * width, (row + 1) * width)
  }

  function state(): Params {
    tf.dispose(packed)
    packed = []
    const out: Params = {}
    const add = (name: string, tensor: Tensor) => {
      out[name] = tensor
      packed.push(tf.keep(tensor))
    }
    add('step', tf.scalar(steps))
    for (const [name, { first, second }] of moments) {
      const table = tables.get(name)
      if (!table) {
        out[`exp_avg.${name}`] = first
        out[`exp_avg_sq.${name}`] = second
        continue
      }
      const rows = Int32Array.from([...table.used.keys()].filter((row) => table.used[row]))
      add(`rows.${name}`, tf.tensor1d(Float32Array.from(rows)))
      const ids = tf.tensor1d(rows, 'int32')
      add(`exp_avg.${name}`, tf.gather(first, ids))
      add(`exp_avg_sq.${name}`, tf.gather(second, ids))
      ids.dispose()
    }
    return out
  }

  function restore(saved: Params): void {
    dispose()
    steps = saved.step.dataSync()[0]
    for (const name of names) {
      const [first, second] = [saved[`exp_avg.${name}`], saved[`exp_avg_sq.${name}`]]
      if (!first || !second) continue
      const rows = saved[`rows.${name}`]
      const place = (tensor: Tensor) =>
        tf.keep(rows ? spread(tensor, rows, params[name]) : tf.tensor(tensor.dataSync().slice(), tensor.shape))
      moments.set(name, { first: place(first), second: place(second) })
      if (!rows) continue
      const used = new Uint8Array(params[name].shape[0]!)
      for (const row of rows.dataSync()) used[row] = 1
      tables.set(name, { used, gradient: tf.keep(tf.zerosLike(params[name])) })
    }
  }

  function dispose(): void {
    for (const { first, second } of moments.values()) tf.dispose([first, second])
    for (const { gradient } of tables.values()) gradient.dispose()
    tf.dispose(packed)
    packed = []
    moments.clear()
    tables.clear()
  }

  return { step, state, restore, dispose }
}

/** The reference decays everything but 1-d parameters and biases: its 0-d logit scales too. */
function decays(name: string, { rank }: Tensor, rule: Config['train']['decayRule']): boolean {
  return rule === 'reference' ? rank !== 1 && !name.endsWith('.bias') : rank > 1
}

/** Rows [A, C] at their places in a table of zeros. */
function spread(values: Tensor, rows: Tensor, table: Tensor): Tensor {
  const width = table.shape[1]!
  const out = new Float32Array(table.size)
  const from = values.dataSync()
  rows.dataSync().forEach((row, i) => {
    out.set(from.subarray(i * width, (i + 1) * width), row * width)
  })
  return tf.tensor(out, table.shape)
}

/** The same step for a backend whose numbers live on a device: new tensors for parameter and moments. */
function updated([parameter, first, second, gradient]: Tensor[], numbers: AdamWNumbers): Tensor[] {
  const { gradientScale, learningRate, beta1, beta2, eps, correction1, correction2, decay } = numbers
  const out = tf.tidy(() => {
    const g = tf.mul(gradient, gradientScale)
    const m = tf.add(tf.mul(first, beta1), tf.mul(g, 1 - beta1))
    const v = tf.add(tf.mul(second, beta2), tf.mul(tf.square(g), 1 - beta2))
    const change = tf.div(m, tf.add(tf.mul(tf.sqrt(v), 1 / Math.sqrt(correction2)), eps))
    return [tf.sub(tf.mul(parameter, decay), tf.mul(change, learningRate / correction1)), m, v]
  })
  return out.map((tensor) => tf.keep(tensor))
}
