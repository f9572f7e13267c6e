import { type Tensor, tf } from '../../tensor/tf.ts'
import type { Addon } from './addon.ts'
import type { Buffers } from './buffers.ts'
import { type Packed, PackedWeights } from './packed-weights.ts'
import { PropertyMap } from './property-map.ts'

type DataId = object
export type TensorInfo = { dataId: DataId; shape: number[]; dtype: tf.DataType }
type Values = Float32Array | Int32Array | Uint8Array
type Entry = {
  values: Values
  dtype: string
  refCount: number
  packed?: Packed | null
}

/** The part of MathBackendCPU (tfjs-backend-cpu 4.22) that is used here. */
type CpuBackend = tf.KernelBackend & {
  data: { get(id: DataId): Entry; set(id: DataId, entry: Entry): void; has(id: DataId): boolean }
  nextDataId(): number
  firstUse: boolean
  disposeData(id: DataId, force?: boolean): boolean
}

/** Binary::add of src/isa.h, and the stride of a whole array. */
const ADD = 0
const ONE = Int32Array.of(1)

/** What the engine of tfjs-core 4.22 knows about the data of tensors. */
type EngineState = { tensorInfo: WeakMap<DataId, object>; numDataBuffers: number }

/** tfjs's cpu backend with memory from a pool, and what the kernels of this folder need. */
export type NativeBackend = CpuBackend & {
  readonly addon: Addon
  readonly buffers: Buffers
  /** The numbers of a float32 tensor. Not to be written to, and not to be kept. */
  values(tensor: { dataId: DataId }): Float32Array
  /** Makes the data of a new tensor from an array of the pool. */
  output(shape: number[], values: Float32Array): TensorInfo
  /** The numbers of a tensor to write to: a copy of its own if somebody else shares them. */
  writable(tensor: Tensor): Float32Array
  /** x += y of the same size, if nobody shares the numbers of x; says whether. */
  addInPlace(x: Tensor, y: Tensor): boolean
  /** A weight w [out, in] packed for products x @ wᵀ, or null where it stays as it is. Asking for its values ends that. */
  packed(w: Tensor): Float32Array | null
}

/**
 * The class is made when it is needed, because what it extends is found at run time: the copy of MathBackendCPU that
 * lies inside the bundle of tfjs.
 */
export function createBackend(addon: Addon, buffers: Buffers): NativeBackend {
  const Cpu = (tf.findBackend('cpu') as object).constructor as new () => CpuBackend
  const packedWeights = new PackedWeights(addon, buffers)

  class Native extends Cpu implements NativeBackend {
    readonly addon = addon
    readonly buffers = buffers

    values(tensor: { dataId: DataId }): Float32Array {
      return this.data.get(tensor.dataId).values as Float32Array
    }

    output(shape: number[], values: Float32Array): TensorInfo {
      const dataId = { id: this.nextDataId() }
      this.data.set(dataId, { values, dtype: 'float32', refCount: 1, packed: null })
      return { dataId, shape, dtype: 'float32' }
    }

    writable(tensor: Tensor): Float32Array {
      const entry = this.data.get(tensor.dataId)
      packedWeights.unpack(entry)
      if (entry.refCount === 1 && buffers.owns(entry.values)) return entry.values as Float32Array
      const own = buffers.take(entry.values.length)
      own.set(entry.values)
      if (entry.refCount === 1)
        entry.values = own // whoever gave tfjs his array keeps it as it is
      else this.separate(tensor, own)
      return own
    }

    addInPlace(x: Tensor, y: Tensor): boolean {
      const entry = this.data.get(x.dataId)
      const { refCount, values } = entry
      if (refCount !== 1 || !buffers.owns(values) || x.size !== y.size) return false
      packedWeights.unpack(entry)
      const sum = values as Float32Array
      addon.binary(ADD, sum, this.values(y), sum, Int32Array.of(x.size), ONE, ONE)
      return true
    }

    packed(w: Tensor): Float32Array | null {
      return packedWeights.of(this.data.get(w.dataId), w.shape)
    }

    /** Gives a tensor data of its own, as tf.Variable's assign does: clones and reshapes keep what they had. */
    private separate(tensor: Tensor, values: Float32Array): void {
      const shared = tensor.dataId
      const { state } = tf.engine() as unknown as { state: EngineState }
      const info = this.output(tensor.shape, values)
      state.tensorInfo.set(info.dataId, { ...state.tensorInfo.get(shared)! })
      state.numDataBuffers++
      this.disposeData(shared)
      Object.assign(tensor, { dataId: info.dataId })
    }

    /** Kernels of the cpu backend may hand in views of a pooled array (slice does): those must not share its fate. */
    override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): object {
      const own = buffers.owns(values) ? (values as Float32Array).slice() : values
      return super.write(own, shape, dtype)
    }

    override readSync(id: DataId): tf.BackendValues {
      const values = super.readSync(id)
      return buffers.owns(values) ? (values as Float32Array).slice() : values
    }

    override disposeData(id: DataId, force = false): boolean {
      if (!this.data.has(id)) return true
      const entry = this.data.get(id)
      if (!super.disposeData(id, force)) return false
      buffers.give(entry.packed?.values ?? entry.values)
      return true
    }

    override memory() {
      return { unreliable: false, pooledBytes: buffers.pooledBytes } as never
    }
  }
  const backend = new Native()
  backend.firstUse = false // no banner
  keepDataInKeys(backend)
  return backend
}

/** See PropertyMap: the backend's own table of data, and the engine's of what it knows about it. */
function keepDataInKeys(backend: CpuBackend): void {
  const storage = backend.data as unknown as { data: WeakMap<DataId, Entry> }
  storage.data = new PropertyMap(storage.data) as never
  const { state } = tf.engine() as unknown as { state: EngineState }
  if (!(state.tensorInfo instanceof PropertyMap)) state.tensorInfo = new PropertyMap(state.tensorInfo) as never
}
