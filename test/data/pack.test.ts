import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { readCaptions } from '../../lib/data/captions.ts'
import { packShards } from '../../lib/data/pack.ts'
import { openShardFile } from '../../lib/data/shard-file.ts'
import { indexShard } from '../../lib/data/shard-index.ts'
import { pngOf, temporary } from './build.ts'

function folder(captionsName: string, captions: string): { images: string; captions: string; out: string } {
  const dir = temporary()
  mkdirSync(path.join(dir, 'images/sub'), { recursive: true })
  for (const [n, name] of ['a.png', 'b.v2.png', 'sub/c.png'].entries())
    writeFileSync(path.join(dir, 'images', name), pngOf(n))
  writeFileSync(path.join(dir, captionsName), captions)
  return { images: path.join(dir, 'images'), captions: path.join(dir, captionsName), out: path.join(dir, 'shards') }
}

/** Everything in the shards: image bytes and captions. */
function contents(shards: string[]): { image: string; captions: string[] }[] {
  return shards.flatMap((file) => {
    const shard = openShardFile(file)
    const { samples, faults } = indexShard(file)
    expect(faults).toEqual([])
    return samples.map(({ image, text, json }) => ({
      image: shard.read(...image).toString('base64'),
      captions: readCaptions(text && shard.read(...text), json && shard.read(...json)),
    }))
  })
}

const expected = [
  { image: pngOf(0).toString('base64'), captions: ['a "red" cat, asleep'] },
  { image: pngOf(1).toString('base64'), captions: ['a dog', 'a brown dog'] },
  { image: pngOf(2).toString('base64'), captions: ['grün & 日本'] },
]
const jsonl = [
  { file: 'a.png', caption: 'a "red" cat, asleep' },
  { image: 'b.v2.png', captions: ['a dog', 'a brown dog'] },
  { file_name: 'sub/c.png', text: 'grün & 日本' },
]
  .map((record) => JSON.stringify(record))
  .join('\n')
const csv =
  'file,caption\na.png,"a ""red"" cat, asleep"\r\nb.v2.png,a dog\nb.v2.png,a brown dog\nsub/c.png,grün & 日本\n'
const coco = JSON.stringify({
  images: ['a.png', 'b.v2.png', 'sub/c.png'].map((file_name, id) => ({ id, file_name })),
  annotations: [
    [0, 'a "red" cat, asleep'],
    [1, 'a dog'],
    [1, 'a brown dog'],
    [2, 'grün & 日本'],
  ].map(([image_id, caption]) => ({ image_id, caption })),
})

describe('packing', () => {
  it.each([
    ['captions.jsonl', jsonl],
    ['captions.csv', csv],
    ['coco.json', coco],
  ])('and reading back gives the same images and captions: %s', async (name, text) => {
    const packed = await packShards({ ...folder(name, text), samplesPerShard: 2 })
    expect(packed).toMatchObject({ samples: 3, missing: [] })
    expect(packed.shards.map((file) => path.basename(file))).toEqual(['part-000000.tar', 'part-000001.tar'])
    expect(contents(packed.shards)).toEqual(expected)
  })

  it('leaves out and names what is missing, no image, or outside of the folder', async () => {
    const lines = ['a.png', 'gone.png', '../captions.jsonl', '../../etc/passwd.png'].map((file) =>
      JSON.stringify({ file, caption: 'x' }),
    )
    const packed = await packShards({ ...folder('captions.jsonl', lines.join('\n')), samplesPerShard: 10 })
    expect(packed.samples).toBe(1)
    expect(packed.missing).toEqual(['gone.png', '../captions.jsonl', '../../etc/passwd.png'])
  })

  it.each([
    ['captions.jsonl', '{"file": "a.png"}', 'captions.jsonl:1 needs "file" and "caption"'],
    ['captions.jsonl', '{"file": "a.png", "caption": "x"}\nnothing', 'captions.jsonl:2 is not JSON'],
    ['captions.csv', 'name;caption\n', 'needs a header with the columns file and caption'],
    ['coco.json', '{"images": []}', 'has no "images" and "annotations"'],
    ['captions.jsonl', '', 'holds no caption'],
    ['captions.jsonl', '{"file": "z.png", "caption": "x"}', 'None of the 1 images'],
  ])('says what is wrong with %s', async (name, text, message) => {
    const packing = packShards({ ...folder(name, text), samplesPerShard: 10 })
    await expect(packing).rejects.toThrow(message)
    await expect(packing).rejects.toBeInstanceOf(UserError)
  })

  it('does not mix with shards that are there', async () => {
    const options = { ...folder('captions.jsonl', jsonl), samplesPerShard: 10 }
    await packShards(options)
    await expect(packShards(options)).rejects.toThrow('already holds shards')
  })
})
