import type { StoredTensor } from '../../lib/tensor/safetensors.ts'

/** Writes what torch.save writes: a pickle of a state dictionary and the numbers, in a zip archive without compression. */
export function torchArchive(tensors: Map<string, StoredTensor>, under: string | null = 'model'): Uint8Array {
  const pickle = [Buffer.from([0x80, 2])]
  const op = (...parts: (string | number | Buffer)[]) => {
    for (const part of parts) pickle.push(typeof part === 'number' ? Buffer.from([part]) : Buffer.from(part as string))
  }
  const u32 = (n: number) => {
    const out = Buffer.alloc(4)
    out.writeUInt32LE(n)
    return out
  }
  const text = (value: string) => op('X', u32(Buffer.byteLength(value)), value)
  const int = (n: number) => op('J', u32(n))
  const ints = (list: readonly number[]) => {
    op('(')
    list.forEach(int)
    op('t')
  }
  const files = new Map<string, Uint8Array>()
  if (under) {
    op('}', '(')
    text('epoch')
    int(3)
    text(under)
  }
  op('ccollections\nOrderedDict\n', ')', 'R', '(')
  let key = 0
  for (const [name, { shape, data }] of tensors) {
    text(name)
    op('ctorch._utils\n_rebuild_tensor_v2\n', '(', '(')
    text('storage')
    op('ctorch\nFloatStorage\n')
    text(String(key))
    text('cpu')
    int(data.length)
    op('t', 'Q')
    int(0)
    ints(shape)
    ints(shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1)))
    op(0x89, 'ccollections\nOrderedDict\n', ')', 'R', 't', 'R')
    files.set(`archive/data/${key++}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
  op('u')
  if (under) op('u')
  op('.')
  return zip(new Map([['archive/data.pkl', Buffer.concat(pickle)], ...files]))
}

/** A zip archive of stored files. */
export function zip(files: Map<string, Uint8Array>): Uint8Array {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const [name, bytes] of files) {
    const header = Buffer.alloc(30)
    header.writeUInt32LE(0x04034b50, 0)
    header.writeUInt32LE(bytes.length, 18)
    header.writeUInt32LE(bytes.length, 22)
    header.writeUInt16LE(name.length, 26)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt32LE(bytes.length, 20)
    entry.writeUInt32LE(bytes.length, 24)
    entry.writeUInt16LE(name.length, 28)
    entry.writeUInt32LE(at, 42)
    directory.push(entry, Buffer.from(name))
    parts.push(header, Buffer.from(name), Buffer.from(bytes))
    at += 30 + name.length + bytes.length
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(files.size, 8)
  end.writeUInt16LE(files.size, 10)
  end.writeUInt32LE(size, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, ...directory, end])
}
