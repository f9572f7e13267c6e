import { tf } from '../../../tensor/tf.ts'
import { type Call, isFloat, type Kernel, sizeOf } from '../registry.ts'

export const shapes: Record<string, Kernel> = {
  Transpose: transpose,
  Slice: slice,
  PadV2: pad,
  SplitV: split,
  Concat: concat,
  Pack: pack,
  Tile: tile,
  GatherV2: gather,
  UnsortedSegmentSum: segmentSum,
  Cast: cast,
  ZerosLike: ({ inputs: { x }, backend }) =>
    isFloat(x) ? backend.output(x.shape, backend.buffers.take(sizeOf(x.shape)).fill(0)) : undefined,
  OnesLike: ({ inputs: { x }, backend }) =>
    isFloat(x) ? backend.output(x.shape, backend.buffers.take(sizeOf(x.shape)).fill(1)) : undefined,
  ResizeBilinear: resizeBilinear,
}

function transpose({ inputs: { x }, attrs: { perm }, backend }: Call) {
  if (!isFloat(x)) return undefined
  const groups = axesThatStayTogether(x.shape, perm)
  const values = backend.values(x)
  const out = backend.buffers.take(values.length)
  const shape = perm.map((axis: number) => x.shape[axis])
  if (groups.length <= 1) out.set(values)
  else if (groups.length > 8) return undefined
  else {
    const order = groups.map((_, i) => i).sort((a, b) => groups[a][0] - groups[b][0]) // output groups by input position
    const sizes = order.map((i) => groups[i].reduce((n, axis) => n * x.shape[axis], 1))
    const place = groups.map((_, i) => order.indexOf(i))
    if (out.length > 0) backend.addon.transpose(values, out, Int32Array.from(sizes), Int32Array.from(place))
  }
  return backend.output(shape, out)
}

/** The axes of the output in order, joined where they are neighbours in the input too; axes of length 1 left out. */
function axesThatStayTogether(shape: number[], perm: number[]): number[][] {
  const groups: number[][] = []
  for (const axis of perm) {
    if (shape[axis] === 1) continue
    const last = groups.at(-1)
    let next = last ? last[last.length - 1] + 1 : -1
    while (last && next < axis && shape[next] === 1) next++
    if (last && next === axis) last.push(axis)
    else groups.push([axis])
  }
  return groups
}

function slice({ inputs: { x }, attrs: { begin, size }, backend }: Call) {
  if (!isFloat(x) || x.shape.length === 0) return undefined
  const [from, shape] = tf.slice_util.parseSliceParams(x, begin, size)
  const whole = (axis: number) => shape[axis] === x.shape[axis]
  let last = shape.length - 1 // the last axis that is cut; what lies inside is whole
  while (last > 0 && whole(last)) last--
  let before = last - 1 // the last cut axis before it; between the two are rows at equal distances
  while (before >= 0 && whole(before)) before--
  const pieces = sizeOf(shape, 0, before + 1)
  if (pieces > 1024) return undefined
  const strides = x.shape.map((_: number, axis: number) => sizeOf(x.shape, axis + 1))
  const n = shape[last] * strides[last]
  const rows = sizeOf(shape, before + 1, last)
  const out = backend.buffers.take(sizeOf(shape))
  for (let piece = 0; out.length > 0 && piece < pieces; piece++) {
    let offset = from[last] * strides[last]
    for (let axis = before, rest = piece; axis >= 0; axis--) {
      offset += (from[axis] + (rest % shape[axis])) * strides[axis]
      rest = Math.floor(rest / shape[axis])
    }
    backend.addon.copyRows(backend.values(x), offset, x.shape[last] * strides[last], out, piece * rows * n, n, rows, n)
  }
  return backend.output(shape, out)
}

/** The gradient of slice: constants around x. */
function pad({ inputs: { x }, attrs: { paddings, constantValue }, backend }: Call) {
  if (!isFloat(x) || x.shape.length === 0) return undefined
  const shape: number[] = x.shape.map((n: number, axis: number) => n + paddings[axis][0] + paddings[axis][1])
  const whole = (axis: number) => shape[axis] === x.shape[axis]
  let last = shape.length - 1
  while (last > 0 && whole(last)) last--
  let before = last - 1
  while (before >= 0 && whole(before)) before--
  const pieces = sizeOf(x.shape, 0, before + 1)
  if (pieces > 1024) return undefined
  const strides = shape.map((_, axis) => sizeOf(shape, axis + 1))
  const n = x.shape[last] * strides[last]
  const rows = sizeOf(x.shape, before + 1, last)
  const out = backend.buffers.take(sizeOf(shape)).fill(constantValue)
  for (let piece = 0; sizeOf(x.shape) > 0 && piece < pieces; piece++) {
    let offset = paddings[last][0] * strides[last]
    for (let axis = before, rest = piece; axis >= 0; axis--) {
      offset += (paddings[axis][0] + (rest % x.shape[axis])) * strides[axis]
      rest = Math.floor(rest / x.shape[axis])
    }
    backend.addon.copyRows(backend.values(x), piece * rows * n, n, out, offset, shape[last] * strides[last], rows, n)
  }
  return backend.output(shape, out)
}

function split({ inputs: { x }, attrs: { numOrSizeSplits, axis }, backend }: Call) {
  if (!isFloat(x)) return undefined
  const [along] = tf.util.parseAxisParam(axis, x.shape)
  const sizes = tf.backend_util.prepareSplitSize(x, numOrSizeSplits, along)
  const [outer, inner] = [sizeOf(x.shape, 0, along), sizeOf(x.shape, along + 1)]
  const values = backend.values(x)
  let offset = 0
  return sizes.map((size) => {
    const n = size * inner
    const out = backend.buffers.take(outer * n)
    if (out.length > 0) backend.addon.copyRows(values, offset, x.shape[along] * inner, out, 0, n, outer, n)
    offset += n
    return backend.output(
      x.shape.map((d: number, i: number) => (i === along ? size : d)),
      out,
    )
  })
}

function concat({ inputs, attrs: { axis }, backend }: Call) {
  const tensors = Object.values(inputs).filter((t) => sizeOf(t.shape) > 0)
  if (tensors.length === 0 || !Object.values(inputs).every(isFloat)) return undefined
  const [along] = tf.util.parseAxisParam(axis, tensors[0].shape)
  return join(
    tensors,
    tensors.map((t) => t.shape[along]),
    along,
    tensors[0].shape,
    backend,
  )
}

/** tf.stack: each tensor has length 1 along a new axis. */
function pack({ inputs, attrs: { axis }, backend }: Call) {
  const tensors = Object.values(inputs)
  if (!tensors.every(isFloat)) return undefined
  const shape = [...tensors[0].shape]
  const along = axis < 0 ? axis + shape.length + 1 : axis
  shape.splice(along, 0, 1)
  return join(
    tensors,
    tensors.map(() => 1),
    along,
    shape,
    backend,
  )
}

function join(
  tensors: Call['inputs'][string][],
  lengths: number[],
  along: number,
  like: number[],
  backend: Call['backend'],
) {
  const [outer, inner] = [sizeOf(like, 0, along), sizeOf(like, along + 1)]
  const total = lengths.reduce((a, b) => a + b, 0)
  const out = backend.buffers.take(outer * total * inner)
  let offset = 0
  tensors.forEach((tensor, i) => {
    const n = lengths[i] * inner
    if (n * outer > 0) backend.addon.copyRows(backend.values(tensor), 0, n, out, offset, total * inner, outer, n)
    offset += n
  })
  return backend.output(
    like.map((d, i) => (i === along ? total : d)),
    out,
  )
}

/** Repetition along the first axis (group tokens for each sample); other patterns are the cpu backend's. */
function tile({ inputs: { x }, attrs: { reps }, backend }: Call) {
  if (!isFloat(x) || reps.length !== x.shape.length || reps.slice(1).some((r: number) => r !== 1)) return undefined
  const n = sizeOf(x.shape)
  const out = backend.buffers.take(n * reps[0])
  if (out.length > 0) backend.addon.copyRows(backend.values(x), 0, 0, out, 0, n, reps[0], n)
  return backend.output([x.shape[0] * reps[0], ...x.shape.slice(1)], out)
}

function gather({ inputs: { x, indices }, attrs: { axis, batchDims }, backend }: Call) {
  if (!isFloat(x) || indices.dtype !== 'int32' || batchDims || tf.util.parseAxisParam(axis, x.shape)[0] !== 0)
    return undefined
  const ids = backend.values(indices) as unknown as Int32Array
  checkIds(ids, x.shape[0])
  const width = sizeOf(x.shape, 1)
  const out = backend.buffers.take(ids.length * width)
  if (out.length > 0) backend.addon.gather(backend.values(x), ids, out, width)
  return backend.output([...indices.shape, ...x.shape.slice(1)], out)
}

/** Throws on an id outside [0, rows): the kernels do not look. */
export function checkIds(ids: Int32Array, rows: number): void {
  for (const id of ids)
    if (id < 0 || id >= rows) throw new Error(`GatherV2: the index value ${id} is not in [0, ${rows - 1}]`)
}

function segmentSum({ inputs: { x, segmentIds }, attrs: { numSegments }, backend }: Call) {
  if (!isFloat(x) || segmentIds.dtype !== 'int32') return undefined
  const width = sizeOf(x.shape, segmentIds.shape.length)
  const out = backend.buffers.take(numSegments * width).fill(0)
  const ids = backend.values(segmentIds) as unknown as Int32Array
  if (width > 0) backend.addon.scatterAdd(backend.values(x), ids, out, numSegments, width)
  return backend.output([numSegments, ...x.shape.slice(segmentIds.shape.length)], out)
}

function cast({ inputs: { x }, attrs: { dtype }, backend }: Call) {
  if (dtype !== 'float32' || (x.dtype !== 'int32' && x.dtype !== 'bool')) return undefined
  const values = backend.values(x)
  const out = backend.buffers.take(values.length)
  out.set(values)
  return backend.output(x.shape, out)
}

function resizeBilinear({ inputs: { images }, attrs: { size, alignCorners, halfPixelCenters }, backend }: Call) {
  if (!isFloat(images) || sizeOf(images.shape) === 0) return undefined
  const [batch, height, width, channels] = images.shape
  const out = backend.buffers.take(batch * size[0] * size[1] * channels)
  const [align, half] = [alignCorners ? 1 : 0, halfPixelCenters ? 1 : 0]
  backend.addon.resizeBilinear(
    backend.values(images),
    out,
    batch,
    height,
    width,
    channels,
    size[0],
    size[1],
    align,
    half,
  )
  return backend.output([batch, size[0], size[1], channels], out)
}
