import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { readNounCache, writeNounCache } from '../../lib/data/noun-cache.ts'
import { nounsOf } from '../../lib/data/nouns.ts'
import { indexShard } from '../../lib/data/shard-index.ts'
import { configOf, pngOf, readSteps, samples, tarOf, temporary, writeShards } from './build.ts'

const cacheOf = (dir: string) => path.join(dir, readdirSync(dir).find((name) => name.endsWith('.nouns.json'))!)

async function cached() {
  const home = temporary()
  const [shard] = await writeShards(home, [samples(0, 7)])
  const captions = writeNounCache(shard, 'reference', indexShard(shard))
  return { home, shard, captions, file: cacheOf(home) }
}

describe('nouns kept next to a shard', () => {
  it('are those that the tagger finds, for every caption of a sample', async () => {
    const shard = path.join(temporary(), 'x.tar')
    const said = ['a dog runs', 'two cats on a red sofa']
    writeFileSync(
      shard,
      await tarOf([
        ['a.png', pngOf(1)],
        ['a.json', JSON.stringify({ captions: said })],
        ['b.png', pngOf(2)],
        ['b.txt', '  '],
        ...samples(3, 1),
      ]),
    )
    const index = indexShard(shard)
    expect(writeNounCache(shard, 'nouns', index)).toBe(3)
    const nouns = readNounCache(shard, 'nouns', index)!
    for (const caption of said) expect(nouns(0, caption)).toEqual(nounsOf(caption, 'nouns'))
    expect(nouns(1, '  ')).toBeNull()
    expect(nouns(2, 'a dog number 3 on grass')).toEqual(['dog', 'number', 'grass'])
    expect(readNounCache(shard, 'reference', index)).toBeNull()
  })

  it('change nothing in the stream, which takes them instead of tagging', async () => {
    const { home, shard, captions, file } = await cached()
    expect(captions).toBe(7)
    const config = configOf([shard], {})
    const read = async () => (await readSteps(config, home, 0, 3)).batches
    const withCache = await read()
    const text = readFileSync(file, 'utf8')
    writeFileSync(file, 'damaged')
    expect(await read()).toEqual(withCache)
    writeFileSync(file, text.replaceAll('"dog"', '"cat"'))
    expect(await read()).not.toEqual(withCache)
  })

  it('are not taken of other captions, of another shard, or of another tagger', async () => {
    const { shard, file } = await cached()
    const index = indexShard(shard)
    const caption = 'a dog number 0 on grass'
    expect(readNounCache(shard, 'reference', index)!(0, caption)).toContain('dog')
    // as long as the caption was: the index cannot tell
    expect(readNounCache(shard, 'reference', index)!(0, caption.replace('dog', 'cat'))).toBeNull()
    expect(readNounCache(shard, 'reference', { ...index, digest: 'other' })).toBeNull()
    writeFileSync(file, readFileSync(file, 'utf8').replace('wink-pos-tagger 2.2.2', 'wink-pos-tagger 9'))
    expect(readNounCache(shard, 'reference', index)).toBeNull()
  })

  it('are no shard for a pattern that matches everything', async () => {
    const { home, shard } = await cached()
    const { batches } = await readSteps(configOf([path.join(home, 'part-*')], {}), home, 0, 1)
    expect(batches).toEqual((await readSteps(configOf([shard], {}), home, 0, 1)).batches)
  })

  it.skipIf(process.getuid?.() === 0)('need a folder that can be written', async () => {
    const home = temporary()
    const [shard] = await writeShards(home, [samples(0, 2)])
    chmodSync(home, 0o500)
    expect(() => writeNounCache(shard, 'reference', indexShard(shard))).toThrow(/cannot be written/)
    chmodSync(home, 0o700)
    expect(existsSync(shard)).toBe(true)
  })
})
