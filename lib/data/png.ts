import zlib from 'node:zlib'

/**
 * A small PNG writer: RGB for scenes, palette for masks. Level 1 and one filter, because thousands of small images are
 * written at once; the decoder is sharp for images and fast-png for masks.
 */
const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const FILTER_NONE = 0
const FILTER_SUB = 1

/** Encodes RGB pixels, [height, width, 3]. */
export function encodeRgbPng(pixels: Uint8Array, width: number, height: number): Buffer {
  const rows = Buffer.alloc(height * (1 + width * 3))
  for (let y = 0, at = 0; y < height; y++) {
    rows[at++] = FILTER_SUB
    const row = y * width * 3
    for (let x = 0; x < width * 3; x++) rows[at++] = pixels[row + x] - (x >= 3 ? pixels[row + x - 3] : 0)
  }
  return assemble(header(width, height, 2), [chunk('IDAT', zlib.deflateSync(rows, { level: 1 }))])
}

/** Encodes a mask, [height, width], with VOC's palette: value v shows as the colour that PASCAL VOC gives class v. */
export function encodeMaskPng(mask: Uint8Array, width: number, height: number): Buffer {
  const rows = Buffer.alloc(height * (1 + width))
  for (let y = 0; y < height; y++) {
    rows[y * (1 + width)] = FILTER_NONE
    rows.set(mask.subarray(y * width, (y + 1) * width), y * (1 + width) + 1)
  }
  return assemble(header(width, height, 3), [chunk('PLTE', VOC_PALETTE), chunk('IDAT', zlib.deflateSync(rows))])
}

/** The 256 colours of PASCAL VOC, 3 bytes each: the bits of the index spread over the high bits of r, g and b. */
export const VOC_PALETTE: Buffer = (() => {
  const palette = Buffer.alloc(768)
  for (let i = 0; i < 256; i++) {
    for (let bit = 0, rest = i; bit < 8; bit++, rest >>= 3) {
      for (let c = 0; c < 3; c++) palette[i * 3 + c] |= ((rest >> c) & 1) << (7 - bit)
    }
  }
  return palette
})()

function header(width: number, height: number, colorType: 2 | 3): Buffer {
  const data = Buffer.alloc(13)
  data.writeUInt32BE(width, 0)
  data.writeUInt32BE(height, 4)
  data[8] = 8 // bits a sample
  data[9] = colorType
  return chunk('IHDR', data)
}

function chunk(type: string, data: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + data.length)
  out.writeUInt32BE(data.length, 0)
  out.write(type, 4, 'latin1')
  out.set(data, 8)
  out.writeUInt32BE(zlib.crc32(out.subarray(4, 8 + data.length)), 8 + data.length)
  return out
}

const assemble = (head: Buffer, chunks: Buffer[]): Buffer =>
  Buffer.concat([SIGNATURE, head, ...chunks, chunk('IEND', Buffer.alloc(0))])
