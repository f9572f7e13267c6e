import { statSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openShardFile } from '../../lib/data/shard-file.ts'
import { indexShard, loadShardIndex } from '../../lib/data/shard-index.ts'
import { gzipOf, type Member, samples, tarOf, temporary, zstdOf } from './build.ts'

async function indexOf(members: Member[]) {
  const file = path.join(temporary(), 'x.tar')
  writeFileSync(file, await tarOf(members))
  return indexShard(file)
}

describe('the index of a shard', () => {
  it('pairs neighbours by the name up to the first dot of the base name', async () => {
    const { samples, faults } = await indexOf([
      ['dir.v1/a.jpg', 'x'],
      ['dir.v1/a.txt', 'caption'],
      ['dir.v1/a.json', '{}'],
      ['dir.v1/a.cls', '3'],
      ['b.seg.png', 'x'],
      ['b.JPEG', 'x'],
      ['b.text', 'caption'],
      ['c.webp', 'x'],
      ['c.json', '{"captions": ["one", "two"]}'],
    ])
    expect(faults).toEqual([])
    expect(samples.map((s) => s.key)).toEqual(['dir.v1/a', 'b', 'c'])
    expect(samples.map((s) => [s.text !== null, s.json !== null])).toEqual([
      [true, true],
      [true, false],
      [false, true],
    ])
  })

  it('names what has no partner, is there twice, or has a name that reaches out', async () => {
    const { samples, faults } = await indexOf([
      ['lonely.jpg', 'x'],
      ['silent.txt', 'caption'],
      ['twice.jpg', 'x'],
      ['twice.jpg', 'y'],
      ['twice.txt', 'caption'],
      ['../../etc/evil.jpg', 'x'],
      ['/abs.jpg', 'x'],
      ['esc\u001b[31m.jpg', 'x'],
      ['good.png', 'x'],
      ['good.txt', 'caption'],
    ])
    expect(samples.map((s) => s.key)).toEqual(['twice', 'good'])
    expect(faults.map((f) => f.kind)).toEqual([
      'missing-partner',
      'missing-partner',
      'duplicate-member',
      'unsafe-name',
      'unsafe-name',
      'unsafe-name',
    ])
  })

  it('leaves members out that are larger than any caption', async () => {
    const { samples, faults } = await indexOf([
      ['a.jpg', 'x'],
      ['a.txt', 'x'.repeat(2 ** 20 + 1)],
    ])
    expect(samples).toEqual([])
    expect(faults.map((f) => f.kind)).toEqual(['oversized-member', 'missing-partner'])
  })

  it('is the same of a .tar, a .tar.gz and a .tar.zst', async () => {
    const dir = temporary()
    const bytes = await tarOf(samples(0, 5))
    const files = { plain: bytes, gzip: gzipOf(bytes), zstd: zstdOf(bytes) }
    const found = Object.entries(files).map(([name, content]) => {
      const file = path.join(dir, name)
      writeFileSync(file, content)
      return indexShard(file)
    })
    expect(found.map((index) => index.compressed)).toEqual([false, true, true])
    expect(found[0].samples).toHaveLength(5)
    for (const index of found.slice(1)) {
      expect(index.samples).toEqual(found[0].samples)
      expect(index.digest).toBe(found[0].digest)
    }
  })

  it('of a truncated shard holds what came before the cut', async () => {
    const file = path.join(temporary(), 'cut.tar')
    const bytes = await tarOf(samples(0, 5))
    for (const content of [
      bytes.subarray(0, bytes.length - 3000),
      gzipOf(bytes).subarray(0, gzipOf(bytes).length * 0.6),
    ]) {
      writeFileSync(file, content)
      const { samples, faults } = indexShard(file)
      expect(samples.length).toBeGreaterThan(0)
      expect(samples.length).toBeLessThan(5)
      expect(faults.map((f) => f.kind)).toContain('truncated-tar')
    }
  })

  it.each([
    ['gzip', () => gzipOf(Buffer.alloc(80 * 2 ** 20))],
    ['zstd', () => zstdOf(Buffer.alloc(0), 80 * 2 ** 20)],
  ])('refuses a %s bomb', (_, make) => {
    const file = path.join(temporary(), 'bomb')
    writeFileSync(file, make())
    expect(statSync(file).size).toBeLessThan(100_000)
    const { samples, faults } = indexShard(file)
    expect(samples).toEqual([])
    expect(faults.map((f) => f.kind)).toEqual(['decompression-bomb'])
  })

  it('of a file that is not there or not a tar is a fault', () => {
    const file = path.join(temporary(), 'x.tar')
    expect(loadShardIndex(file, temporary()).faults[0].kind).toBe('unreadable-shard')
    writeFileSync(file, Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(100, 7)]))
    expect(indexShard(file).faults[0].kind).toBe('unreadable-shard')
    writeFileSync(file, 'hello')
    expect(indexShard(file)).toMatchObject({ samples: [], faults: [{ kind: 'truncated-tar' }] })
    writeFileSync(file, '')
    expect(indexShard(file).faults).toHaveLength(1)
  })

  it('is made anew when the file changes', async () => {
    const [dir, cache] = [temporary(), temporary()]
    const file = path.join(dir, 'x.tar')
    writeFileSync(file, await tarOf(samples(0, 2)))
    expect(loadShardIndex(file, cache).samples).toHaveLength(2)
    expect(loadShardIndex(file, cache).samples).toHaveLength(2)
    writeFileSync(file, await tarOf(samples(0, 3)))
    utimesSync(file, new Date(), new Date(Date.now() + 5000))
    expect(loadShardIndex(file, cache).samples).toHaveLength(3)
  })
})

describe('a shard file', () => {
  it('reads any range', async () => {
    const file = path.join(temporary(), 'x')
    for (const content of [Buffer.from('0123456789'.repeat(300)), gzipOf(Buffer.from('0123456789'.repeat(300)))]) {
      writeFileSync(file, content)
      const shard = openShardFile(file)
      expect(shard.size).toBe(3000)
      expect(shard.read(1234, 7).toString()).toBe('4567890')
      shard.close()
    }
  })
})
