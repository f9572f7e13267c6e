import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { type Archive, DATASETS, downloadDataset } from '../../lib/data/download.ts'
import { readZip } from '../../lib/data/zip.ts'
import { tarOf, temporary, zipOf } from './build.ts'

const archive = async () =>
  tarOf([
    ['VOCdevkit/VOC2012/JPEGImages/a.jpg', 'image'.repeat(20_000)],
    ['VOCdevkit/VOC2012/SegmentationClass/a.png', 'mask'],
    ['VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt', 'a\n'],
    ['VOCdevkit/VOC2012/Annotations/a.xml', 'left out'],
    ['VOCdevkit/VOC2012/JPEGImages/../../../../evil.txt', 'left out'],
  ])

type Handler = (request: IncomingMessage, response: ServerResponse, bytes: Buffer) => void

/** Serves ranges as a proper server does. */
const proper: Handler = (request, response, bytes) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from })
  response.end(bytes.subarray(from))
}

async function serve(handlers: Handler[]) {
  const bytes = await archive()
  const ranges: (string | undefined)[] = []
  const server = createServer((request, response) => {
    ranges.push(request.headers.range)
    const handler = handlers.length > 1 ? handlers.shift() : handlers[0]
    handler?.(request, response, bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const description: Archive = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/VOC.tar`,
    bytes: bytes.length,
    md5: createHash('md5').update(bytes).digest('hex'),
    keep: DATASETS.voc2012.archives[0].keep,
  }
  const dir = temporary()
  const download = (change: Partial<Archive> = {}) =>
    downloadDataset({
      dataset: { folder: 'VOC2012', archives: [{ ...description, ...change }] },
      dir,
      signal: new AbortController().signal,
      pauses: [1, 1],
    })
  return { download, dir, ranges, bytes }
}

const breaksOffAt =
  (count: number): Handler =>
  (request, response, bytes) => {
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from })
    response.write(bytes.subarray(from, from + count), () => response.destroy())
  }

describe('a download', () => {
  it('is checked, unpacked into the layout and tidied up', async () => {
    const { download, dir } = await serve([proper])
    const target = await download()
    expect(target).toBe(path.join(dir, 'VOC2012'))
    expect(readdirSync(dir)).toEqual(['VOC2012'])
    expect(readdirSync(target).sort()).toEqual(['ImageSets', 'JPEGImages', 'SegmentationClass'])
    expect(readFileSync(path.join(target, 'JPEGImages/a.jpg'), 'utf8')).toHaveLength(100_000)
    expect(existsSync(path.join(dir, '../evil.txt'))).toBe(false)
    await expect(download()).rejects.toThrow('is already there')
  })

  it('goes on where the connection broke off', async () => {
    const { download, ranges } = await serve([breaksOffAt(30_000), breaksOffAt(20_000), proper])
    await download()
    expect(ranges[0]).toBeUndefined()
    expect(ranges).toHaveLength(3)
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d*-$/)
  })

  it('goes on in a later command', async () => {
    const { download, dir, ranges } = await serve([
      breaksOffAt(30_000),
      breaksOffAt(0),
      breaksOffAt(0),
      breaksOffAt(0),
      proper,
    ])
    await expect(download()).rejects.toThrow(/broke off at \d+ of/)
    expect(readdirSync(dir)).toEqual(['VOC.tar.part'])
    await download()
    expect(ranges.at(-1)).toMatch(/^bytes=[1-9]/)
  })

  it('starts anew where the server knows no ranges', async () => {
    const whole: Handler = (_, response, bytes) =>
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
    const { download, dir } = await serve([breaksOffAt(30_000), whole])
    await download()
    expect(readdirSync(dir)).toEqual(['VOC2012'])
  })

  it.each<[string, Handler, Partial<Archive>, RegExp]>([
    ['says another size', proper, { bytes: 5 }, /is \d+ bytes long, expected 5/],
    [
      'sends more than it may',
      (_, response, bytes) => [response.write(bytes), response.end(bytes)],
      {},
      /sends more than/,
    ],
    ['sends other bytes', (_, response, bytes) => response.end(Buffer.alloc(bytes.length, 1)), {}, /has the checksum/],
    ['has no such file', (_, response) => response.writeHead(404).end(), {}, /answered 404 Not Found/],
    ['fails', (_, response) => response.writeHead(503).end(), {}, /broke off at 0 of .*: the server said 503/],
  ])('is a sentence when the server %s', async (_, handler, change, message) => {
    const { download, dir } = await serve([handler])
    const downloading = download(change)
    await expect(downloading).rejects.toThrow(message)
    await expect(downloading).rejects.toBeInstanceOf(UserError)
    expect(existsSync(path.join(dir, 'VOC2012'))).toBe(false)
  })

  it('does not begin where the disk is too small', async () => {
    const { download } = await serve([proper])
    await expect(download({ bytes: 1e18 })).rejects.toThrow(/has .* GB left, the download and its contents need/)
  })
})

describe('a data set of two zip archives', () => {
  const images = zipOf([
    ['val2017/', ''],
    ['val2017/a.jpg', 'image'.repeat(20_000)],
    ['val2017/../../../evil.txt', 'left out'],
    ['train2017/b.jpg', 'left out'],
  ])
  const maps = zipOf([['val2017/a.png', 'mask']], { stored: true })

  async function serveBoth(change: (name: string, bytes: Buffer) => Buffer | null = (_, bytes) => bytes) {
    const asked: string[] = []
    const server = createServer((request, response) => {
      const name = path.basename(request.url!)
      asked.push(`${request.method} ${name}`)
      const bytes = change(name, name === 'images.zip' ? images : maps)
      if (!bytes) return void response.writeHead(404).end()
      if (request.method === 'HEAD') return void response.writeHead(200, { 'content-length': bytes.length }).end()
      proper(request, response, bytes)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const md5 = createHash('md5').update(images).digest('hex')
    const archives: Archive[] = [
      { url: `${url}/images.zip`, bytes: images.length, md5, keep: DATASETS.coco2017.archives[0].keep },
      { url: `${url}/maps.zip`, bytes: null, md5: null, keep: DATASETS.coco2017.archives[1].keep },
    ]
    const dir = temporary()
    const signal = new AbortController().signal
    const download = () => downloadDataset({ dataset: { folder: 'coco', archives }, dir, signal, pauses: [1] })
    return { download, dir, asked }
  }

  it('becomes one folder in the layout that evaluation reads', async () => {
    const { download, dir, asked } = await serveBoth()
    const target = await download()
    expect(asked).toEqual(['HEAD maps.zip', 'GET images.zip', 'GET maps.zip'])
    expect(readdirSync(dir)).toEqual(['coco'])
    expect(readdirSync(target, { recursive: true }).map(String).sort()).toEqual([
      'images',
      'images/val2017',
      'images/val2017/a.jpg',
      'stuffthingmaps',
      'stuffthingmaps/val2017',
      'stuffthingmaps/val2017/a.png',
    ])
    expect(readFileSync(path.join(target, 'images/val2017/a.jpg'), 'utf8')).toHaveLength(100_000)
    expect(existsSync(path.join(dir, 'evil.txt'))).toBe(false)
  })

  it.each<[string, (name: string, bytes: Buffer) => Buffer | null, RegExp]>([
    [
      'flips a bit where no checksum is published',
      (name, bytes) => (name === 'maps.zip' ? flipped(bytes, 45) : bytes),
      /maps\.zip cannot be unpacked: val2017\/a\.png has another checksum; the file is deleted/,
    ],
    [
      'flips a bit of the table of contents',
      (name, bytes) => (name === 'maps.zip' ? flipped(bytes, maps.length - 60) : bytes),
      /cannot be unpacked/,
    ],
    [
      'flips a bit where one is',
      (name, bytes) => (name === 'images.zip' ? flipped(bytes, 100) : bytes),
      /images\.zip has the checksum/,
    ],
    [
      'cuts the end off',
      (name, bytes) => (name === 'maps.zip' ? bytes.subarray(0, -10) : bytes),
      /no zip archive, or its end is missing/,
    ],
    ['does not have the second', (name, bytes) => (name === 'maps.zip' ? null : bytes), /answered 404/],
  ])('is a sentence when the server %s', async (_, change, message) => {
    const { download, dir } = await serveBoth(change)
    const downloading = download()
    await expect(downloading).rejects.toBeInstanceOf(UserError)
    await expect(downloading).rejects.toThrow(message)
    expect(existsSync(path.join(dir, 'coco'))).toBe(false)
  })

  const flipped = (bytes: Buffer, at: number) => {
    const copy = Buffer.from(bytes)
    copy[at] ^= 1
    return copy
  }
})

describe('a zip archive', () => {
  const sourceOf = (bytes: Buffer) => ({
    size: bytes.length,
    read: (offset: number, length: number) => bytes.subarray(offset, offset + length),
  })
  it('is read with the wide records of large archives, too', () => {
    for (const wide of [false, true]) {
      const members = [
        ...readZip(
          sourceOf(
            zipOf(
              [
                ['a/b.txt', 'hello'],
                ['c.txt', ''],
              ],
              { wide },
            ),
          ),
        ),
      ]
      expect(members.map(({ name, size }) => [name, size])).toEqual([
        ['a/b.txt', 5],
        ['c.txt', 0],
      ])
      expect(members.map((member) => member.read().toString())).toEqual(['hello', ''])
    }
  })

  it('does not inflate more than a member says that it has', () => {
    const bomb = zipOf([['a', 'x'.repeat(1e6)]], { claim: 100 })
    const [member] = readZip(sourceOf(bomb))
    expect(() => member.read()).toThrow('a is damaged')
    const [huge] = readZip(sourceOf(zipOf([['a', 'x']], { claim: 2 ** 31 })))
    expect(() => huge.read()).toThrow('a says that it has 2147483648 bytes')
  })
})
