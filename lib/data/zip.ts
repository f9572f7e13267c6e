import zlib from 'node:zlib'
import type { ByteSource } from './tar.ts'

/** A member of a zip archive; `read` gives its content, inflated and held against its checksum. */
export type ZipMember = { name: string; size: number; read(): Buffer }

/** No image and no mask is larger. */
const MAX_MEMBER_BYTES = 256 * 2 ** 20
/** The end record and the longest comment behind it. */
const END_WINDOW = 22 + 65_535

/**
 * The files of a zip archive, stored or deflated, in the order of its table of contents; also beyond 4 GB and 65,535
 * files (zip64).
 *
 * @throws Error with a clause that says what is damaged
 */
export function* readZip(source: ByteSource): Generator<ZipMember> {
  const { count, offset, size } = findDirectory(source)
  const directory = source.read(offset, size)
  let at = 0
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== 0x02014b50)
      throw new Error('its table of contents is damaged')
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) => directory.readUInt16LE(at + field))
    const name = directory.toString('utf8', at + 46, at + 46 + nameLength)
    const extra = directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength)
    const place = wide(extra, {
      size: directory.readUInt32LE(at + 24),
      packed: directory.readUInt32LE(at + 20),
      header: directory.readUInt32LE(at + 42),
    })
    const [method, crc] = [directory.readUInt16LE(at + 10), directory.readUInt32LE(at + 16)]
    at += 46 + nameLength + extraLength + commentLength
    if (!name.endsWith('/'))
      yield { name, size: place.size, read: () => readMember(source, { name, method, crc, ...place }) }
  }
}

function findDirectory(source: ByteSource): { count: number; offset: number; size: number } {
  const start = Math.max(0, source.size - END_WINDOW)
  const tail = source.read(start, source.size - start)
  for (let at = tail.length - 22; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== 0x06054b50) continue
    const found = {
      count: tail.readUInt16LE(at + 10),
      size: tail.readUInt32LE(at + 12),
      offset: tail.readUInt32LE(at + 16),
    }
    const isWide = at >= 20 && tail.readUInt32LE(at - 20) === 0x07064b50
    const record = isWide ? source.read(Number(tail.readBigUInt64LE(at - 12)), 56) : null
    if (record && record.length === 56 && record.readUInt32LE(0) === 0x06064b50)
      return {
        count: Number(record.readBigUInt64LE(32)),
        size: Number(record.readBigUInt64LE(40)),
        offset: Number(record.readBigUInt64LE(48)),
      }
    return found
  }
  throw new Error('it is no zip archive, or its end is missing')
}

type Place = { size: number; packed: number; header: number }

/** Sizes and offset beyond 4 GB stand in an extra field, in this order, and only those that do not fit. */
function wide(extra: Buffer, place: Place): Place {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue
    let from = at + 4
    const end = from + extra.readUInt16LE(at + 2)
    const next = (value: number): number => {
      if (value !== 0xffffffff || from + 8 > Math.min(end, extra.length)) return value
      from += 8
      return Number(extra.readBigUInt64LE(from - 8))
    }
    return { size: next(place.size), packed: next(place.packed), header: next(place.header) }
  }
  return place
}

function readMember(
  source: ByteSource,
  { name, method, crc, size, packed, header }: Place & { name: string; method: number; crc: number },
): Buffer {
  if (size > MAX_MEMBER_BYTES || packed > MAX_MEMBER_BYTES) throw new Error(`${name} says that it has ${size} bytes`)
  const local = source.read(header, 30)
  if (local.length < 30 || local.readUInt32LE(0) !== 0x04034b50) throw new Error(`${name} has no header`)
  const bytes = source.read(header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28), packed)
  if (bytes.length !== packed) throw new Error(`${name} is cut off`)
  const content = inflated(bytes, method, size, name)
  if (content.length !== size || zlib.crc32(content) !== crc) throw new Error(`${name} has another checksum`)
  return content
}

function inflated(bytes: Buffer, method: number, size: number, name: string): Buffer {
  if (method === 0) return bytes
  if (method !== 8) throw new Error(`${name} is compressed in a way that gvx does not know (${method})`)
  try {
    return zlib.inflateRawSync(bytes, { maxOutputLength: Math.max(1, size) })
  } catch {
    throw new Error(`${name} is damaged`)
  }
}
