import type { Config } from '../config/schema.ts'
import {
  type AdamWNumbers,
  adamwInPlace,
  adamwTableInPlace,
  liveValues,
  type Params,
  sumOfSquares,
  type Tensor,
  tensorFrom,
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

/** Of a table only the rows that have ever had a gradient have moments, in the order in which they had their first. */
type Table = {
  rows: number[]
  /** The place of each row of the table in that order, or -1. */
  places: Int32Array
  /** [capacity, C] */
  first: Tensor
  second: Tensor
}

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
      found = { first: moment(params[name]), second: moment(params[name]) }
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
      if (known.has(name)) update(name, gradient, { ...numbers, decay: decayOf(name) })
    for (const rowGradient of rowGradients) updateRows(rowGradient, { ...numbers, decay: decayOf(rowGradient.name) })
    return norm
  }

  function update(name: string, gradient: Tensor, numbers: AdamWNumbers): void {
    const { first, second } = momentsOf(name)
    const tensors = [params[name], first, second, gradient]
    if (!liveValues(gradient)) {
      const { change, moments: after } = stepOf(first, second, gradient, numbers)
      moments.set(name, { first: tf.keep(after[0]), second: tf.keep(after[1]) })
      params[name] = tf.keep(tf.tidy(() => tf.sub(tf.mul(params[name], numbers.decay), change)))
      tf.dispose([...tensors.slice(0, 3), change])
      return
    }
    const [parameter, m, v, g] = tensors.map((tensor) => liveValues(tensor)!)
    adamwInPlace({ parameter, first: m, second: v, gradient: g }, numbers)
  }

  function updateRows({ name, rows, gradient }: RowGradient, numbers: AdamWNumbers): void {
    const [count, width] = params[name].shape as number[]
    const table = tables.get(name) ?? emptyTable(count, width)
    tables.set(name, table)
    extend(table, rows)
    const gradients = new Int32Array(count).fill(-1)
    rows.forEach((row, i) => {
      gradients[row] = i
    })
    if (!liveValues(gradient)) {
      updateRowsOnDevice(name, table, gradients, gradient, numbers)
      return
    }
    const tensors = [params[name], table.first, table.second, gradient]
    const [parameter, first, second, g] = tensors.map((tensor) => liveValues(tensor)!)
    adamwTableInPlace({ parameter, first, second, gradient: g }, { moments: table.places, gradients }, numbers)
  }

  /** The same with new tensors: the whole table decays, and the rows with moments are changed. */
  function updateRowsOnDevice(
    name: string,
    table: Table,
    gradients: Int32Array,
    gradient: Tensor,
    numbers: AdamWNumbers,
  ): void {
    const own = [params[name], table.first, table.second]
    const made = tf.tidy(() => {
      const [capacity, width] = table.first.shape as number[]
      const ids = table.rows.flatMap((row, place) => (gradients[row] < 0 ? [] : [[place, gradients[row]]]))
      const column = (i: 0 | 1) => Int32Array.from(ids, (pair) => pair[i])
      const places = tf.tensor2d(column(0), [ids.length, 1], 'int32')
      const taken = tf.gather(gradient, tf.tensor1d(column(1), 'int32'))
      const { change, moments: after } = stepOf(
        table.first,
        table.second,
        tf.scatterND(places, taken, [capacity, width]),
        numbers,
      )
      const rows = tf.tensor2d(Int32Array.from(table.rows), [table.rows.length, 1], 'int32')
      const spread = tf.scatterND(rows, tf.slice(change, [0, 0], [table.rows.length, width]), params[name].shape)
      return [tf.sub(tf.mul(params[name], numbers.decay), spread), ...after]
    })
    ;[params[name], table.first, table.second] = made.map((tensor) => tf.keep(tensor))
    tf.dispose(own)
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
      out[`exp_avg.${name}`] = first
      out[`exp_avg_sq.${name}`] = second
    }
    for (const [name, { rows, first, second }] of tables) {
      const size = [rows.length, first.shape[1]!]
      add(`rows.${name}`, tf.tensor1d(Float32Array.from(rows)))
      add(`exp_avg.${name}`, tf.slice(first, [0, 0], size))
      add(`exp_avg_sq.${name}`, tf.slice(second, [0, 0], size))
    }
    return out
  }

  function restore(saved: Params): void {
    dispose()
    steps = saved.step.dataSync()[0]
    for (const name of names) {
      const [first, second] = [saved[`exp_avg.${name}`], saved[`exp_avg_sq.${name}`]]
      if (!first || !second) continue
      const [a, b] = [first, second].map((t) => tf.keep(tensorFrom(t.dataSync().slice() as Float32Array, t.shape)))
      const rows = saved[`rows.${name}`]
      if (!rows) {
        moments.set(name, { first: a, second: b })
        continue
      }
      const table = { ...emptyTable(...(params[name].shape as [number, number])), first: a, second: b }
      for (const row of rows.dataSync()) table.places[row] = table.rows.push(row) - 1
      tables.set(name, table)
    }
  }

  function dispose(): void {
    for (const { first, second } of moments.values()) tf.dispose([first, second])
    for (const { first, second } of tables.values()) tf.dispose([first, second])
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

/** Zeros in memory of their own: they stay, and among what comes and goes they would leave gaps. */
const moment = ({ size, shape }: Tensor): Tensor => tf.keep(tensorFrom(new Float32Array(size), shape))

const emptyTable = (rows: number, width: number): Table => ({
  rows: [],
  places: new Int32Array(rows).fill(-1),
  first: tf.keep(tf.zeros([0, width])),
  second: tf.keep(tf.zeros([0, width])),
})

/** Gives rows that have none yet a place, and moments of zero. */
function extend(table: Table, rows: Int32Array): void {
  for (const row of rows) if (table.places[row] < 0) table.places[row] = table.rows.push(row) - 1
  const [capacity, width] = table.first.shape as number[]
  const needed = table.rows.length
  if (needed <= capacity) return
  // by half at least, so that a vocabulary that shows itself word by word is not copied at each
  const more = Math.min(table.places.length, Math.max(needed, Math.ceil(capacity * 1.5))) - capacity
  const longer = (tensor: Tensor) => tf.keep(tf.tidy(() => tf.concat([tensor, tf.zeros([more, width])])))
  const [first, second] = [longer(table.first), longer(table.second)]
  tf.dispose([table.first, table.second])
  Object.assign(table, { first, second })
}

/** New moments, and what is taken off a decayed parameter, for a backend whose numbers live on a device. */
function stepOf(first: Tensor, second: Tensor, gradient: Tensor, numbers: AdamWNumbers) {
  const { gradientScale, learningRate, beta1, beta2, eps, correction1, correction2 } = numbers
  const [m, v, change] = tf.tidy(() => {
    const g = tf.mul(gradient, gradientScale)
    const m = tf.add(tf.mul(first, beta1), tf.mul(g, 1 - beta1))
    const v = tf.add(tf.mul(second, beta2), tf.mul(tf.square(g), 1 - beta2))
    const ratio = tf.div(m, tf.add(tf.mul(tf.sqrt(v), 1 / Math.sqrt(correction2)), eps))
    return [m, v, tf.mul(ratio, learningRate / correction1)]
  })
  return { change, moments: [m, v] as [Tensor, Tensor] }
}
