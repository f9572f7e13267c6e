import { decode } from 'fast-png'
import { messageOf } from '../core/errors.ts'

/** Class indices, [height, width]. */
export type Mask = { data: Uint8Array; width: number; height: number }

/**
 * Decodes a mask: the palette indices of a palette PNG, or the values of an 8-bit grey one. The colours of the palette
 * do not matter; `remap` takes the values to classes.
 *
 * @throws Error with one sentence where the file is something else or damaged.
 */
export function decodeMask(bytes: Uint8Array, remap: Uint8Array | null = null): Mask {
  const mask = decodeIndices(bytes)
  return remap ? { ...mask, data: mask.data.map((v) => remap[v]) } : mask
}

function decodeIndices(bytes: Uint8Array): Mask {
  let png: ReturnType<typeof decode>
  try {
    png = decode(bytes, { checkCrc: true })
  } catch (error) {
    throw new Error(`is not a PNG or is damaged (${messageOf(error)})`)
  }
  const { width, height, depth, channels, data } = png
  if (channels !== 1 || depth === 16) throw new Error('is neither a palette PNG nor an 8-bit grey one')
  if (depth === 8) return { data: new Uint8Array(data.buffer, data.byteOffset, width * height), width, height }
  return { data: unpack(data as Uint8Array, width, height, depth), width, height }
}

/** Rows of 1, 2 or 4 bits a pixel, each row beginning on a byte. */
function unpack(packed: Uint8Array, width: number, height: number, depth: number): Uint8Array {
  const out = new Uint8Array(width * height)
  const stride = Math.ceil((width * depth) / 8)
  const perByte = 8 / depth
  const lowBits = (1 << depth) - 1
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = packed[y * stride + Math.floor(x / perByte)]
      out[y * width + x] = (byte >> (8 - depth - depth * (x % perByte))) & lowBits
    }
  }
  return out
}
