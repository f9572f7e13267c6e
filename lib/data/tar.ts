/**
 * A tar reader that looks at headers only and says where the members lie, so that a sample is one positioned read and
 * nothing is ever extracted. Knows ustar, pax (`path`, `size`) and GNU long names.
 */
export type ByteSource = { size: number; read(offset: number, length: number): Buffer }

export type TarItem =
  | { type: 'member'; name: string; offset: number; size: number }
  | { type: 'fault'; kind: 'truncated-tar' | 'bad-checksum'; message: string }

const BLOCK = 512
/** Headers are read ahead in windows of this many bytes: small members share a read. */
const WINDOW = 16 * 1024
/** Pax headers and long names hold names; anything larger is an attack. */
const MAX_NAME_BYTES = 64 * 1024

const roundUp = (size: number): number => Math.ceil(size / BLOCK) * BLOCK

/** The members of a tar in their order. Past damage it looks for the next valid header and says so. */
export function* readTar(source: ByteSource): Generator<TarItem> {
  const blockAt = windowed(source)
  let offset = 0
  let longName: string | null = null
  let paxSize: number | null = null
  let damaged = false
  while (offset + BLOCK <= source.size) {
    const header = blockAt(offset)
    if (isZero(header)) return
    if (!hasValidChecksum(header)) {
      if (!damaged) yield { type: 'fault', kind: 'bad-checksum', message: `the header at byte ${offset} is damaged` }
      damaged = true
      offset += BLOCK
      continue
    }
    damaged = false
    const size: number = paxSize ?? readNumber(header, 124, 12)
    const data = offset + BLOCK
    if (data + size > source.size) {
      const message = `a member of ${size} bytes at byte ${data} goes beyond the end (${source.size} bytes)`
      yield { type: 'fault', kind: 'truncated-tar', message }
      return
    }
    offset = data + roundUp(size)
    const kind = String.fromCharCode(header[156])
    if (kind === 'x' || kind === 'L') {
      const content = source.read(data, Math.min(size, MAX_NAME_BYTES))
      const pax: Map<string, string> = kind === 'x' ? readPax(content) : new Map()
      longName = kind === 'L' ? untilZero(content) : (pax.get('path') ?? longName)
      if (pax.has('size')) paxSize = Number(pax.get('size'))
      continue
    }
    if (kind === '0' || kind === '\0') {
      yield { type: 'member', name: longName ?? ustarName(header), offset: data, size }
    }
    if (kind !== 'g') {
      longName = null
      paxSize = null
    }
  }
  yield { type: 'fault', kind: 'truncated-tar', message: 'the end-of-archive marker is missing' }
}

function windowed(source: ByteSource): (offset: number) => Buffer {
  let start = 0
  let window: Buffer = Buffer.alloc(0)
  return (offset) => {
    if (offset < start || offset + BLOCK > start + window.length) {
      start = offset
      window = source.read(offset, Math.min(WINDOW, source.size - offset))
    }
    return window.subarray(offset - start, offset - start + BLOCK)
  }
}

const isZero = (block: Buffer): boolean => block.every((byte) => byte === 0)

/** The sum of the header's bytes with its own field as spaces; a window cut short by the end of the file fails here too. */
function hasValidChecksum(header: Buffer): boolean {
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : header[i]
  return sum === readNumber(header, 148, 8)
}

/** Octal digits, or base 256 where the first bit is set. NaN for anything else. */
function readNumber(header: Buffer, at: number, length: number): number {
  if (header[at] & 0x80) {
    let value = header[at] & 0x7f
    for (let i = 1; i < length; i++) value = value * 256 + header[at + i]
    return value
  }
  const digits = untilZero(header.subarray(at, at + length)).trim()
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN
}

function ustarName(header: Buffer): string {
  const name = untilZero(header.subarray(0, 100))
  const isPosixUstar = header.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosixUstar ? untilZero(header.subarray(345, 500)) : ''
  return prefix ? `${prefix}/${name}` : name
}

function untilZero(bytes: Buffer): string {
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end)
}

/** Pax records: `length key=value\n`, the length counts the whole record. */
function readPax(content: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  let at = 0
  while (at < content.length) {
    const space = content.indexOf(0x20, at)
    const length = space < 0 ? Number.NaN : Number(content.toString('latin1', at, space))
    if (!Number.isInteger(length) || length <= space - at) break
    const record = content.toString('utf8', space + 1, at + length - 1)
    const equals = record.indexOf('=')
    if (equals > 0) records.set(record.slice(0, equals), record.slice(equals + 1))
    at += length
  }
  return records
}
