import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import { type Tensor, tf } from '../tensor/tf.ts'

/**
 * tfjs-backend-wasm 4.22, frozen upstream, made fit for training: the kernels it lacks and a matMul that is fast for
 * batches and transposes too. Threads cannot work in this version (the binary is compiled for one).
 */
export async function openWasm(): Promise<void> {
  const require = createRequire(import.meta.url)
  const wasm = require('@tensorflow/tfjs-backend-wasm') as typeof import('@tensorflow/tfjs-backend-wasm')
  wasm.setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist/'))
  const events = ['uncaughtException', 'unhandledRejection'] as const
  const before = new Set<unknown>(events.flatMap((event) => process.listeners(event as 'uncaughtException')))
  await tf.setBackend('wasm')
  await tf.ready()
  // The loader rethrows whatever nobody catches, from a line of 90,000 characters that Node then prints.
  for (const event of events)
    for (const listener of process.listeners(event as 'uncaughtException'))
      if (!before.has(listener)) process.removeListener(event, listener)
  if (tf.getKernel('UnsortedSegmentSum', 'wasm')) return
  registerSegmentSum()
  registerSum()
  registerMatMul()
}

type Info = { dataId: object; shape: number[]; dtype: tf.DataType }
type Kernel = { inputs: Record<string, Info>; backend: Backend; attrs: Record<string, never> }
/** What the kernels below use of the backend, private parts included. */
type Backend = Pick<BackendWasm, 'makeOutput' | 'disposeData' | 'typedArrayFromHeap' | 'dataIdMap'> & {
  dataIdNextNumber: number
  wasm: {
    cwrap(name: string, result: null, types: string[]): unknown
    tfjs: { registerTensor(id: number, size: number, offset: number): void; disposeData(id: number): void }
  }
}

const register = (kernelName: string, kernelFunc: (args: Kernel) => Info) =>
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc: kernelFunc as never })

const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1)

/** The gradient of an embedding, straight on the heap. */
function registerSegmentSum(): void {
  register('UnsortedSegmentSum', ({ inputs: { x, segmentIds }, backend, attrs }) => {
    const numSegments: number = attrs.numSegments
    const shape = [numSegments, ...x.shape.slice(segmentIds.shape.length)]
    const width = size(shape.slice(1))
    const out = backend.makeOutput(shape, x.dtype) as Info
    const [sums, values, ids] = [out, x, segmentIds].map((t) => backend.typedArrayFromHeap(t as never))
    sums.fill(0)
    for (let i = 0; i < ids.length; i++) {
      const segment = ids[i]
      if (segment < 0 || segment >= numSegments) continue
      for (let j = 0; j < width; j++) sums[segment * width + j] += values[i * width + j]
    }
    return out
  })
}

/** The stock Sum turns the matrix around to add up its columns; most sums of a backward pass are of columns. */
function registerSum(): void {
  const stock = tf.getKernel('Sum', 'wasm').kernelFunc as unknown as (args: Kernel) => Info
  tf.unregisterKernel('Sum', 'wasm')
  register('Sum', (args) => {
    const { inputs, backend, attrs } = args
    const { x } = inputs
    const { axis, keepDims } = attrs as unknown as { axis: number | number[] | null; keepDims: boolean }
    const first = String(axis) === '0' // 0 or [0]
    if (!first || keepDims || x.shape.length !== 2 || x.dtype !== 'float32') return stock(args)
    const width = x.shape[1]
    const out = backend.makeOutput([width], 'float32') as Info
    const [sums, values] = [out, x].map((t) => backend.typedArrayFromHeap(t as never))
    sums.fill(0)
    for (let i = 0; i < values.length; i += width) for (let j = 0; j < width; j++) sums[j] += values[i + j]
    return out
  })
}

/** Below this many multiply-adds the stock scalar loop is as good as a call of XNNPACK. */
const SMALL = 512

/**
 * The stock BatchMatMul reaches XNNPACK only for one matrix without transposes; the whole backward pass and attention
 * fall into a scalar loop. Here operands are transposed first and a batch becomes one call a matrix, on aliases of the
 * memory of the whole: 3 to 8 times faster for a training step.
 */
function registerMatMul(): void {
  const stock = tf.getKernel('BatchMatMul', 'wasm').kernelFunc as unknown as (args: Kernel) => Info
  const transpose = tf.getKernel('Transpose', 'wasm').kernelFunc as unknown as (args: object) => Info
  tf.unregisterKernel('BatchMatMul', 'wasm')

  register('BatchMatMul', (args) => {
    const { inputs, backend } = args
    const { transposeA, transposeB } = args.attrs as unknown as { transposeA: boolean; transposeB: boolean }
    const [a, b] = [matrices(inputs.a), matrices(inputs.b)]
    const [m, k] = transposeA ? [a.shape[2], a.shape[1]] : [a.shape[1], a.shape[2]]
    const n = transposeB ? b.shape[1] : b.shape[2]
    const batch = a.shape[0]
    const plain = batch === 1 && !transposeA && !transposeB
    if (plain || batch !== b.shape[0] || a.dtype !== 'float32' || b.dtype !== 'float32' || m * n * k < SMALL)
      return stock(args)

    const turned = (t: Info): Info => ({
      ...transpose({ inputs: { x: t }, backend, attrs: { perm: [0, 2, 1] } }),
      shape: [t.shape[0], t.shape[2], t.shape[1]],
    })
    const left = transposeA ? turned(a) : a // [batch, m, k]
    const right = transposeB ? turned(b) : b // [batch, k, n]
    const out = backend.makeOutput([...inputs.a.shape.slice(0, -2), m, n], 'float32') as Info
    multiplyEach(backend, left, right, out, [batch, m, k, n])
    if (transposeA) backend.disposeData(left.dataId as never)
    if (transposeB) backend.disposeData(right.dataId as never)
    return out
  })
}

/** [..., r, c] as [batch, r, c]. */
const matrices = ({ dataId, dtype, shape }: Info): Info => ({
  dataId,
  dtype,
  shape: [size(shape.slice(0, -2)), ...shape.slice(-2)],
})

type RawMatMul = (...args: [number, Uint8Array, number, number, Uint8Array, number, number, number, number]) => void
let rawMatMul: RawMatMul | undefined
const shapeBytes = (shape: number[]) => new Uint8Array(new Int32Array(shape).buffer)

function multiplyEach(backend: Backend, a: Info, b: Info, out: Info, [batch, m, k, n]: number[]): void {
  const types = ['number', 'array', 'number', 'number', 'array', 'number', 'number', 'number', 'number']
  rawMatMul ??= backend.wasm.cwrap('BatchMatMul', null, types) as RawMatMul
  const [shapeA, shapeB] = [shapeBytes([1, m, k]), shapeBytes([1, k, n])]
  const offsetOf = (t: Info) => backend.dataIdMap.get(t.dataId as never).memoryOffset
  const [atA, atB, atOut] = [offsetOf(a), offsetOf(b), offsetOf(out)]
  // Three tensor ids that only the C++ side knows: aliases of one matrix of each operand.
  const [idA, idB, idOut] = [backend.dataIdNextNumber++, backend.dataIdNextNumber++, backend.dataIdNextNumber++]
  const { registerTensor, disposeData } = backend.wasm.tfjs
  for (let i = 0; i < batch; i++) {
    registerTensor(idA, m * k, atA + 4 * i * m * k)
    registerTensor(idB, k * n, atB + 4 * i * k * n)
    registerTensor(idOut, m * n, atOut + 4 * i * m * n)
    rawMatMul(idA, shapeA, 3, idB, shapeB, 3, 0, 0, idOut)
    disposeData(idA)
    disposeData(idB)
    disposeData(idOut)
  }
}

/** The live values of a tensor, for kernels of ours that write in place. */
export function wasmValues(tensor: Tensor): Float32Array {
  const backend = tf.backend() as unknown as Backend
  return backend.typedArrayFromHeap(tensor as never) as Float32Array
}
