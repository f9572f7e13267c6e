import { describe, expect, it } from 'vitest'
import { type ByteSource, readTar, type TarItem } from '../../lib/data/tar.ts'
import { tarOf } from './build.ts'

const source = (bytes: Buffer): ByteSource => ({
  size: bytes.length,
  read: (offset, length) => bytes.subarray(offset, offset + length),
})
const read = (bytes: Buffer): TarItem[] => [...readTar(source(bytes))]
const names = (items: TarItem[]): string[] => items.map((item) => (item.type === 'member' ? item.name : item.kind))

describe('a tar', () => {
  it('says where its members lie', async () => {
    const bytes = await tarOf([
      ['a.txt', 'alpha'],
      ['b/c.txt', ''],
      ['d.txt', 'x'.repeat(1500)],
    ])
    const items = read(bytes)
    expect(names(items)).toEqual(['a.txt', 'b/c.txt', 'd.txt'])
    const contents = items.map((item) =>
      item.type === 'member' ? bytes.toString('utf8', item.offset, item.offset + item.size) : '',
    )
    expect(contents).toEqual(['alpha', '', 'x'.repeat(1500)])
  })

  it('keeps long and foreign names', async () => {
    const long = `${'deep/'.repeat(60)}ümläut-日本.txt`
    expect(
      names(
        read(
          await tarOf([
            [long, 'x'],
            ['short.txt', 'y'],
          ]),
        ),
      ),
    ).toEqual([long, 'short.txt'])
  })

  it('knows the long names of GNU tar', async () => {
    const name = `${'n'.repeat(150)}.txt`
    const block = await tarOf([['././@LongLink', `${name}\0`]])
    const header = block.subarray(0, 512)
    header[156] = 'L'.charCodeAt(0)
    sign(header)
    const rest = await tarOf([['cut', 'content']])
    expect(names(read(Buffer.concat([block.subarray(0, 1024), rest])))).toEqual([name])
  })

  it('passes over folders and links', async () => {
    const folder = await tarOf([['folder', '']], { type: 'directory' })
    const link = await tarOf([['link', '']], { type: 'symlink', linkname: '/etc/passwd' })
    const file = await tarOf([['file.txt', 'x']])
    const bytes = Buffer.concat([folder.subarray(0, 512), link.subarray(0, 512), file])
    expect(names(read(bytes))).toEqual(['file.txt'])
  })

  it('says where it was cut, at any byte', async () => {
    const bytes = await tarOf([
      ['a.txt', 'alpha'],
      ['b.txt', 'beta'],
    ])
    const whole = 4 * 512
    for (let end = 0; end <= whole; end += 64) {
      const found = names(read(bytes.subarray(0, end)))
      expect(found.at(-1)).toBe('truncated-tar')
      expect(found.slice(0, -1)).toEqual(['a.txt', 'b.txt'].slice(0, Math.max(0, Math.floor((end - 5) / 1024 + 0.5))))
    }
    expect(names(read(bytes.subarray(0, whole + 512)))).toEqual(['a.txt', 'b.txt'])
  })

  it('goes on behind a damaged header', async () => {
    const bytes = await tarOf([
      ['a.txt', 'alpha'],
      ['b.txt', 'beta'],
      ['c.txt', 'gamma'],
    ])
    bytes[1024 + 3] ^= 0x20
    expect(names(read(bytes))).toEqual(['a.txt', 'bad-checksum', 'c.txt'])
  })

  it('of random bytes is damaged, not endless', () => {
    const bytes = Buffer.alloc(20_000, 0x5a)
    expect(names(read(bytes))).toEqual(['bad-checksum', 'truncated-tar'])
  })
})

function sign(header: Buffer): void {
  header.fill(' ', 148, 156)
  const sum = header.reduce((a, b) => a + b, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}
