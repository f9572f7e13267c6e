import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'

/**
 * The safetensors format (https://github.com/huggingface/safetensors): 8 bytes with the length of the header, a JSON
 * header, the raw little-endian values. A file is read only if every byte of it is accounted for.
 */

export type StoredTensor = { dtype: string; shape: number[]; data: Float32Array }
export type Safetensors = { tensors: Map<string, StoredTensor>; metadata: Record<string, string> }

/** Bytes of a value, by name of the type. */
const WIDTH = new Map(
  Object.entries({ F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U8: 1, BOOL: 1 }),
)
/** The header of a model with 100,000 tensors has 15 MB; the reference implementation stops at 100 MB. */
const MAX_HEADER = 16 << 20

/** The tensors of a file, all widened or rounded to float32. A damaged or hostile file is a UserError that names `source`. */
export function readSafetensors(bytes: Uint8Array, source = 'the file'): Map<string, StoredTensor> {
  return parseSafetensors(bytes, source).tensors
}

/** The same with the metadata of the header. */
export function parseSafetensors(bytes: Uint8Array, source = 'the file'): Safetensors {
  const refuse = (why: string): never => {
    throw new UserError(`${printable(source)} is not a sound safetensors file: ${why}.`, {
      hint: 'copy or download it again; a checkpoint that was cut off cannot be mended',
    })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 8) return refuse('it is shorter than 8 bytes')
  const claimed = view.getBigUint64(0, true)
  if (claimed > BigInt(MAX_HEADER)) return refuse(`its header claims ${claimed} bytes`)
  const begin = 8 + Number(claimed)
  if (begin > bytes.byteLength) return refuse('it ends within its header')
  const entries = parseHeader(bytes.subarray(8, begin), refuse)

  let at = 0
  const tensors = new Map<string, StoredTensor>()
  for (const { name, dtype, shape, offsets } of entries.list) {
    if (offsets[0] !== at) refuse(`the values of ${quote(name)} overlap others or leave a hole`)
    at = offsets[1]
    if (begin + at > bytes.byteLength) refuse(`the values of ${quote(name)} lie beyond its end`)
    tensors.set(name, { dtype, shape, data: readValues(bytes.subarray(begin + offsets[0], begin + at), dtype) })
  }
  if (begin + at !== bytes.byteLength) refuse('bytes are left after the last tensor')
  return { tensors, metadata: entries.metadata }
}

type Entry = { name: string; dtype: string; shape: number[]; offsets: [number, number] }
type Refuse = (why: string) => never

const quote = (name: string) => `"${printable(name.slice(0, 80))}"`

function parseHeader(raw: Uint8Array, refuse: Refuse): { list: Entry[]; metadata: Record<string, string> } {
  if (raw[0] !== 0x7b) refuse('its header is not a JSON object')
  let header: unknown
  let text = ''
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(raw)
    header = JSON.parse(text)
  } catch {
    refuse('its header is not JSON')
  }
  const names = Object.keys(header as object)
  if (countTopLevelKeys(text) !== names.length) refuse('its header names a tensor twice')
  let metadata: Record<string, string> = {}
  const list: Entry[] = []
  for (const name of names) {
    const value = (header as Record<string, unknown>)[name]
    if (name === '__metadata__') metadata = parseMetadata(value, refuse)
    else list.push(parseEntry(name, value, refuse))
  }
  list.sort((a, b) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1])
  return { list, metadata }
}

function parseMetadata(value: unknown, refuse: Refuse): Record<string, string> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) refuse('its metadata is not an object')
  const entries = Object.entries(value as object)
  if (entries.some(([, text]) => typeof text !== 'string')) refuse('its metadata holds something that is not text')
  return Object.fromEntries(entries)
}

const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0

function parseEntry(name: string, value: unknown, refuse: Refuse): Entry {
  if (name === '' || name === '__proto__') refuse(`it has a tensor named ${quote(name)}`)
  const entry = (value ?? {}) as { dtype?: unknown; shape?: unknown; data_offsets?: unknown }
  const width = WIDTH.get(entry.dtype as string) ?? refuse(`${quote(name)} has no known dtype`)
  if (!Array.isArray(entry.shape) || entry.shape.length > 8 || !entry.shape.every(isCount))
    return refuse(`${quote(name)} has no sound shape`)
  const offsets = entry.data_offsets
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    return refuse(`${quote(name)} has no sound offsets`)
  const size = entry.shape.reduce((a: number, b: number) => a * b, 1)
  if (!Number.isSafeInteger(size) || offsets[1] - offsets[0] !== size * width)
    return refuse(`shape and bytes of ${quote(name)} disagree`)
  return { name, dtype: entry.dtype as string, shape: entry.shape, offsets: [offsets[0], offsets[1]] }
}

/** JSON.parse keeps the last of two equal keys without a word, so they are counted in the text. */
function countTopLevelKeys(text: string): number {
  let depth = 0
  let keys = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '{' || c === '[') depth++
    else if (c === '}' || c === ']') depth--
    else if (c === ':' && depth === 1) keys++
    else if (c === '"') while (text[++i] !== '"') if (text[i] === '\\') i++
  }
  return keys
}

/** Bytes of one value of a type. */
export const widthOf = (dtype: string): number => WIDTH.get(dtype)!

/** Raw little-endian values of a type as float32. */
export function readValues(bytes: Uint8Array, dtype: string): Float32Array {
  const width = widthOf(dtype)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float32Array(bytes.byteLength / width)
  if (dtype === 'F32') {
    new Uint8Array(out.buffer).set(bytes) // little-endian on every machine Node runs on
    return out
  }
  const read = READERS[dtype]
  for (let i = 0; i < out.length; i++) out[i] = read(view, i * width)
  return out
}

const READERS: Record<string, (view: DataView, at: number) => number> = {
  F64: (v, at) => v.getFloat64(at, true),
  F16: (v, at) => halfToFloat(v.getUint16(at, true)),
  BF16: (v, at) => bfloatToFloat(v.getUint16(at, true)),
  I64: (v, at) => Number(v.getBigInt64(at, true)),
  I32: (v, at) => v.getInt32(at, true),
  I16: (v, at) => v.getInt16(at, true),
  I8: (v, at) => v.getInt8(at),
  U8: (v, at) => v.getUint8(at),
  BOOL: (v, at) => v.getUint8(at),
}

/** IEEE 754 half precision. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const scratch = new DataView(new ArrayBuffer(4))
/** bfloat16: the upper half of a float32. */
export function bfloatToFloat(bits: number): number {
  scratch.setUint32(0, bits << 16)
  return scratch.getFloat32(0)
}

export type WrittenTensor = {
  shape: readonly number[]
  data: Float32Array
  /** Written as 64-bit integers, where other code wants them so. */
  dtype?: 'F32' | 'I64'
}

/** A file of the tensors in the order given; the values begin at a multiple of 8 bytes. */
export function writeSafetensors(
  tensors: Iterable<[string, WrittenTensor]>,
  metadata: Record<string, string> = {},
): Uint8Array {
  const list = [...tensors].map(([name, { shape, data, dtype = 'F32' }]) => {
    const raw = dtype === 'F32' ? data : BigInt64Array.from(data, (value) => BigInt(Math.round(value)))
    return { name, shape, dtype, bytes: new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength) }
  })
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {}
  let at = 0
  for (const { name, shape, dtype, bytes } of list) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil(json.length / 8) * 8
  const out = new Uint8Array(8 + padded + at)
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true)
  out.fill(0x20, 8, 8 + padded)
  out.set(json, 8)
  at = 8 + padded
  for (const { bytes } of list) {
    out.set(bytes, at)
    at += bytes.length
  }
  return out
}
