import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { checkSource } from '../../lib/data/check.ts'
import type { FaultKind } from '../../lib/data/fault.ts'
import { encodeRgbPng } from '../../lib/data/png.ts'
import { configOf, gzipOf, type Member, pngOf, readSteps, samples, tarOf, temporary } from './build.ts'

const bomb = () => {
  const png = Buffer.from(encodeRgbPng(new Uint8Array(12), 2, 2))
  png.writeUInt32BE(60_000, 16)
  png.writeUInt32BE(60_000, 20)
  return png
}
const good = samples(100, 5)
const shardOf = (...bad: Member[]) => tarOf([...bad, ...good])

/** A shard with every fault there is; the compiler asks for a new one. */
const FAULTS: Record<FaultKind, () => Promise<Buffer>> = {
  'corrupt-image': () => shardOf(['bad.png', pngOf(1).subarray(0, 60)], ['bad.txt', 'a dog']),
  'image-bomb': () => shardOf(['bad.png', bomb()], ['bad.txt', 'a dog']),
  'empty-caption': () => shardOf(['bad.png', pngOf(1)], ['bad.txt', '\n']),
  'bad-json': () => shardOf(['bad.png', pngOf(1)], ['bad.json', '{"captions": ["a d']),
  'missing-partner': () => shardOf(['bad.png', pngOf(1)]),
  'duplicate-member': () => shardOf(['bad.png', pngOf(1)], ['bad.png', pngOf(2)], ['bad.txt', 'a dog']),
  'oversized-member': () => shardOf(['bad.png', pngOf(1)], ['bad.txt', 'a'.repeat(2 ** 20 + 1)], ['bad.text', 'a dog']),
  'unsafe-name': () => shardOf(['bad/../../\u001b[2Jx.png', pngOf(1)]),
  'truncated-tar': async () => (await shardOf()).subarray(0, 5 * 1024 + 200),
  'bad-checksum': async () => {
    const bytes = await shardOf(['bad.png', pngOf(1)], ['bad.txt', 'a dog'])
    bytes[148] ^= 7 // of the first header
    return bytes
  },
  'decompression-bomb': async () => gzipOf(Buffer.alloc(80 * 2 ** 20)),
  'unreadable-shard': async () => Buffer.concat([Buffer.from([0x1f, 0x8b]), Buffer.alloc(100, 7)]),
}

describe.each(Object.keys(FAULTS) as FaultKind[])('%s', { timeout: 60_000 }, (kind) => {
  async function shards() {
    const dir = temporary()
    const whole = path.join(dir, 'a.tar')
    const faulty = path.join(dir, 'b.tar')
    writeFileSync(whole, await tarOf(samples(0, 20)))
    writeFileSync(faulty, await FAULTS[kind]())
    return { dir, whole, faulty }
  }

  it('is counted and listed by a check, with the file that it is in', async () => {
    const { dir, faulty } = await shards()
    const report = await checkSource(path.join(dir, '*.tar'))
    expect(report.faults[kind]).toBe(1)
    const [problem] = report.problems.filter((found) => found.kind === kind)
    expect(problem.file).toBe(faulty)
    expect(report.usable).toBeGreaterThanOrEqual(20)
  })

  it('is counted, told once and passed over by the stream, and above the quota a sentence', async () => {
    const { dir, whole, faulty } = await shards()
    const { counts, faults, batches } = await readSteps(
      configOf([whole, faulty], { data: { faultQuota: 0.2 } }),
      dir,
      0,
      14,
    )
    expect(counts[kind]).toBe(1)
    expect(faults.filter((fault) => fault.kind === kind)).toHaveLength(1)
    expect(batches).toHaveLength(14)
    for (const { keys } of batches) for (const key of keys) expect(key).toMatch(/^(s\d{3}|bad)$/)
    const strict = readSteps(configOf([whole, faulty], { data: { faultQuota: 0 } }), dir, 0, 14)
    await expect(strict).rejects.toBeInstanceOf(UserError)
    await expect(strict).rejects.toThrow(/samples are bad, more than data\.faultQuota = 0; the last: b\.tar/)
  })
})
