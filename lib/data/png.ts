import zlib from 'node:zlib'

/**
 * PNG for the many small images of scenes: a writer (RGB, and palettes for masks; level 1 and one filter) and a reader
 * of plain RGB. sharp reads every other image, but its fixed cost for one is ten times that of decoding 64 × 64 pixels.
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

/** RGB pixels of a PNG with 8 bits a sample, neither interlaced nor transparent; null for any other file, damaged ones too. */
export function decodeRgbPng(bytes: Uint8Array): { data: Uint8Array; width: number; height: number } | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (!file.subarray(0, 8).equals(SIGNATURE)) return null
  let size: { width: number; height: number } | null = null
  const packed: Buffer[] = []
  for (let at = 8; at + 12 <= file.length; ) {
    const length = file.readUInt32BE(at)
    const type = file.toString('latin1', at + 4, at + 8)
    const end = at + 8 + length
    if (end + 4 > file.length || zlib.crc32(file.subarray(at + 4, end)) !== file.readUInt32BE(end)) return null
    const data = file.subarray(at + 8, end)
    if (type === 'IHDR') size = plainRgbSize(data)
    else if (type === 'IDAT') packed.push(data)
    else if (type === 'IEND') break
    else if (type === 'tRNS') return null
    if (!size) return null
    at = end + 4
  }
  return size && unfilter(packed, size.width, size.height)
}

/** Larger images are sharp's: it decodes them outside of the JavaScript thread and guards against bombs. */
const MAX_SIDE = 256

function plainRgbSize(header: Buffer): { width: number; height: number } | null {
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const isPlainRgb = header[8] === 8 && header[9] === 2 && header[12] === 0
  const isSmall = width > 0 && height > 0 && width <= MAX_SIDE && height <= MAX_SIDE
  return isPlainRgb && isSmall ? { width, height } : null
}

function unfilter(packed: Buffer[], width: number, height: number) {
  const stride = width * 3
  let rows: Buffer
  try {
    const all = packed.length === 1 ? packed[0] : Buffer.concat(packed)
    rows = zlib.inflateSync(all, { maxOutputLength: height * (stride + 1) })
  } catch {
    return null
  }
  if (rows.length !== height * (stride + 1)) return null
  const data = new Uint8Array(stride * height)
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)]
    if (filter > 4) return null
    const from = y * (stride + 1) + 1
    const to = y * stride
    if (filter === 0) data.set(rows.subarray(from, from + stride), to)
    else if (filter === 1) {
      for (let x = 0; x < stride; x++) data[to + x] = rows[from + x] + (x >= 3 ? data[to + x - 3] : 0)
    } else {
      for (let x = 0; x < stride; x++) {
        const left = x >= 3 ? data[to + x - 3] : 0
        const up = y > 0 ? data[to + x - stride] : 0
        const corner = x >= 3 && y > 0 ? data[to + x - stride - 3] : 0
        data[to + x] = rows[from + x] + predict(filter, left, up, corner)
      }
    }
  }
  return { data, width, height }
}

/** The filters up, average and Paeth of the PNG specification. */
function predict(filter: number, left: number, up: number, corner: number): number {
  if (filter === 2) return up
  if (filter === 3) return (left + up) >> 1
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}
