import { describe, expect, it } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import {
  bfloatToFloat,
  halfToFloat,
  parseSafetensors,
  readSafetensors,
  writeSafetensors,
} from '../../lib/tensor/safetensors.ts'

/** A file with this header (an object or its text) and this many bytes of values. */
function file(header: unknown, bytes = 0, claimed?: bigint): Uint8Array {
  const text = typeof header === 'string' ? header : JSON.stringify(header)
  const json = Buffer.from(text, 'utf8')
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(claimed ?? BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(bytes)])
}
const entry = (offsets: number[], shape: unknown[] = [1], dtype = 'F32') => ({ dtype, shape, data_offsets: offsets })
const twice = JSON.stringify({ w: entry([0, 4]) }).slice(0, -1)

const HOSTILE: Record<string, Uint8Array> = {
  'a file of seven bytes': Buffer.alloc(7),
  'a header of 2^63 bytes': file('{}', 0, 2n ** 63n),
  'a header of 90 MB of spaces': file(`{${' '.repeat(9e7)}}`),
  'a header longer than the file': file('{}', 0, 1000n),
  'offsets past the end': file({ w: entry([0, 400], [100]) }, 4),
  'a negative offset': file({ w: entry([-4, 0]) }, 4),
  'two tensors over the same bytes': file({ a: entry([0, 4]), b: entry([0, 4]) }, 4),
  'a hole between tensors': file({ a: entry([0, 4]), b: entry([8, 12]) }, 12),
  'trailing bytes': file({ a: entry([0, 4]) }, 400),
  'a shape that overflows': file({ w: entry([0, 4], [2 ** 31, 2 ** 31, 2]) }, 4),
  'a thousand million values in four bytes': file({ w: entry([0, 4], [1e9]) }, 4),
  'a tensor named twice': file(`${twice},${twice.slice(1)}}`, 4),
  'a tensor named __proto__': file('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
  'a leading space': file(' {}'),
  'a shape of 1e400': file('{"w":{"dtype":"F32","shape":[1e400],"data_offsets":[0,4]}}', 4),
  'a dtype named constructor': file({ w: entry([0, 4], [1], 'constructor') }, 4),
  'text that is not UTF-8': Buffer.concat([file('{}').subarray(0, 8), Buffer.from([0x7b, 0xff])]),
  'lists nested a hundred thousand deep': file(`{"w":${'['.repeat(1e5)}${']'.repeat(1e5)}}`),
  'metadata that is not text': file({ __metadata__: { a: 1 } }),
  'a tensor that is null': file({ w: null }),
}

describe('safetensors', () => {
  it.each(Object.keys(HOSTILE))('refuses %s in one sentence', (name) => {
    expect(() => readSafetensors(HOSTILE[name], 'weights.safetensors')).toThrow(UserError)
    expect(() => readSafetensors(HOSTILE[name], 'weights.safetensors')).toThrow(/^weights\.safetensors is not a sound/)
  })

  it('reads back what it wrote, names, shapes, bits and metadata', () => {
    const a = { shape: [2, 3], data: Float32Array.of(1, -0, 1e-42, Number.NaN, Infinity, 0.1) }
    const b = { shape: [], data: Float32Array.of(2.5) }
    const c = { shape: [0, 4], data: new Float32Array() }
    const bytes = writeSafetensors(Object.entries({ 'a.weight': a, 'naïve "b"': b, c }), { format: 'pt' })
    const { tensors, metadata } = parseSafetensors(bytes)
    expect(metadata).toEqual({ format: 'pt' })
    expect(tensors.get('a.weight')).toEqual({ dtype: 'F32', ...a })
    expect(tensors.get('naïve "b"')).toEqual({ dtype: 'F32', ...b })
    expect(tensors.get('c')).toEqual({ dtype: 'F32', ...c })
    expect(parseSafetensors(writeSafetensors([])).tensors.size).toBe(0)
  })

  it('widens half precision, bfloat16 and integers', () => {
    expect([0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000].map(halfToFloat)).toEqual([
      1,
      -2,
      2 ** -24,
      65504,
      Infinity,
      -0,
    ])
    expect(halfToFloat(0x7e00)).toBeNaN()
    expect([0x3f80, 0xc000, 0x7f80].map(bfloatToFloat)).toEqual([1, -2, Infinity])
    const header = { h: entry([0, 2], [1], 'F16'), i: entry([2, 10], [1], 'I64'), u: entry([10, 12], [2], 'U8') }
    const bytes = file(header, 12)
    new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 12).setUint16(0, 0x3c00, true)
    new DataView(bytes.buffer, bytes.byteOffset + bytes.length - 12).setBigInt64(2, -5n, true)
    bytes[bytes.length - 1] = 200
    const tensors = readSafetensors(bytes)
    expect(tensors.get('h')!.data[0]).toBe(1)
    expect(tensors.get('i')!.data[0]).toBe(-5)
    expect([...tensors.get('u')!.data]).toEqual([0, 200])
  })
})
