import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { readValues, type StoredTensor, widthOf } from '../tensor/safetensors.ts'
import { howToSaveAgain, isSpecial, type Pickled, type PickledTensor, unpickle } from './unpickle.ts'

/**
 * Tensors of a file that torch.save has written (a zip archive, torch ≥ 1.6), by their names in the state dictionary:
 * the dictionary itself or the one under `model` or `state_dict`. What stands beside it is passed over. Throws a UserError.
 */
export function readTorchFile(bytes: Uint8Array, source: string): Map<string, StoredTensor> {
  const refuse = (why: string): never => {
    throw new UserError(`${printable(source)} is not a sound torch checkpoint: ${why}.`, {
      hint: 'files of torch before 1.6 are no zip archives: load and save them once with a newer torch',
    })
  }
  const files = zipEntries(bytes, refuse)
  const pickle = [...files.keys()].find((name) => name.endsWith('/data.pkl')) ?? refuse('it has no data.pkl')
  const folder = pickle.slice(0, -'data.pkl'.length)
  const tensors = new Map<string, StoredTensor>()
  for (const [name, value] of stateOf(unpickle(files.get(pickle)!, source), refuse)) {
    if (isSpecial(value, 'unmade'))
      throw new UserError(
        `${printable(source)}: ${printable(String(name))} among its weights is a ${printable(value.name)}, not a tensor.`,
        { hint: howToSaveAgain(source) },
      )
    if (typeof name !== 'string' || !isSpecial(value, 'tensor')) continue
    const storage =
      files.get(`${folder}data/${value.storage.key}`) ?? refuse(`the numbers of ${printable(name)} are missing`)
    tensors.set(name, gather(value, storage) ?? refuse(`${printable(name)} reaches beyond its numbers`))
  }
  return tensors
}

function stateOf(root: Pickled, refuse: (why: string) => never): Map<Pickled, Pickled> {
  if (!(root instanceof Map)) return refuse('it holds no dictionary')
  const inner = root.get('model') ?? root.get('state_dict')
  return inner instanceof Map ? inner : root
}

/** The numbers of a tensor in row order, whatever its strides. null when they lie outside of the storage. */
function gather({ storage, offset, shape, stride }: PickledTensor, bytes: Uint8Array): StoredTensor | null {
  const size = shape.reduce((a, b) => a * b, 1)
  const available = bytes.length / widthOf(storage.dtype)
  const last = offset + shape.reduce((sum, n, i) => sum + Math.max(0, n - 1) * stride[i], 0)
  if (!Number.isSafeInteger(size) || size > available || (size > 0 && last >= available)) return null
  const values = readValues(bytes, storage.dtype)
  const data = new Float32Array(size)
  const index = shape.map(() => 0)
  let from = offset
  for (let i = 0; i < size; i++) {
    data[i] = values[from]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += stride[axis]
      if (++index[axis] < shape[axis]) break
      from -= stride[axis] * shape[axis]
      index[axis] = 0
    }
  }
  return { dtype: storage.dtype, shape, data }
}

/** Files of a zip archive whose members are stored as they are, as torch writes them. */
function zipEntries(bytes: Uint8Array, refuse: (why: string) => never): Map<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = findEnd(view)
  if (end < 0) return refuse('it is no zip archive')
  const count = view.getUint16(end + 10, true)
  const entries = new Map<string, Uint8Array>()
  let at = view.getUint32(end + 16, true)
  for (let i = 0; i < count; i++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== 0x02014b50) refuse('its table of contents is damaged')
    const [method, size, stored] = [
      view.getUint16(at + 10, true),
      view.getUint32(at + 20, true),
      view.getUint32(at + 24, true),
    ]
    const nameLength = view.getUint16(at + 28, true)
    const header = view.getUint32(at + 42, true)
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength))
    if (method !== 0 || size !== stored) refuse(`${printable(name)} is compressed`)
    if (header + 30 > bytes.length || view.getUint32(header, true) !== 0x04034b50)
      refuse(`${printable(name)} has no header`)
    const begin = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true)
    if (begin + size > bytes.length) refuse(`${printable(name)} is cut off`)
    entries.set(name, bytes.subarray(begin, begin + size))
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
  }
  return entries
}

/** Where the end record of the archive begins; it may be followed by a comment of 64 kB. */
function findEnd(view: DataView): number {
  for (let at = view.byteLength - 22; at >= Math.max(0, view.byteLength - 65_557); at--)
    if (view.getUint32(at, true) === 0x06054b50) return at
  return -1
}
