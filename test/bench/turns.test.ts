import { describe, expect, it } from 'vitest'
import { rooflineOf } from '../../lib/bench/roofline.ts'
import { takeTurns } from '../../lib/bench/turns.ts'
import { median } from '../../lib/core/statistics.ts'

/** A contender in plain JavaScript: answers line n by n milliseconds, or what `say` makes of n. */
const contender = (name: string, say = '{ ms: 1000 * n, cpuMs: 2 * n }', ready = '{ ready: "box" }') => ({
  name,
  command: [
    process.execPath,
    '-e',
    `const print = (x) => console.log(JSON.stringify(x))
     let n = 0
     print(${ready})
     require('readline').createInterface({ input: process.stdin })
       .on('line', () => { n++; print(${say}) })
       .on('close', () => { print({ peakBytes: 7 }) })`,
  ],
})

describe('contenders that take turns', () => {
  it('do a step each; warm-ups do not count, and the end is asked for peak memory', async () => {
    const notes: string[] = []
    const measured = await takeTurns([contender('a'), contender('b', '{ ms: 300 * n, cpuMs: n }')], 3, 2, (text) =>
      notes.push(text),
    )
    expect(measured).toEqual([
      { name: 'a', device: 'box', ms: [3000, 4000, 5000], cpuMs: [6, 8, 10], peakBytes: 7, cost: null },
      { name: 'b', device: 'box', ms: [900, 1200, 1500], cpuMs: [3, 4, 5], peakBytes: 7, cost: null },
    ])
    expect(notes).toEqual([])
  })

  it('of short steps last 300 ms; the first step does not count and the median of the others does', async () => {
    const short = contender('short', '{ ms: n % 4 === 0 ? 20 : n % 4 === 1 ? 250 : 15, cpuMs: n }')
    const [{ ms, cpuMs }] = await takeTurns([short], 3, 0, () => {})
    expect(ms).toEqual([15, 15, 15]) // of 250 | 15, 15, 20
    expect(cpuMs).toEqual([3, 7, 11])
  })

  it('are left out with a reason when they do not start or break off, and the others go on', async () => {
    const notes: string[] = []
    const measured = await takeTurns(
      [
        contender('no device', '{ ms: 1 }', '{ failed: "no GPU" }'),
        { name: 'no program', command: ['/nowhere/program'] },
        contender('broken', 'n < 2 ? { ms: 1000 } : { failed: "out of memory" }'),
        contender('gone', '(n < 2 ? 0 : process.exit(1), { ms: 1000 })'),
        contender('good'),
      ],
      2,
      1,
      (text) => notes.push(text),
    )
    expect(measured.map(({ name, ms }) => ({ name, ms }))).toEqual([{ name: 'good', ms: [2000, 3000] }])
    expect(notes.sort()).toEqual([
      'broken broke off: out of memory',
      'gone broke off: it ended',
      'no device: no GPU',
      'no program: it does not start',
    ])
  })

  it('get their job as the first line, however long it is', async () => {
    const counting = `let job
     require('readline').createInterface({ input: process.stdin })
       .on('line', (line) => {
         console.log(JSON.stringify(job ? { ms: 1000 } : { ready: 'texts ' + JSON.parse(line).texts.length }))
         job ??= line
       })
       .on('close', () => { console.log('{ "peakBytes": 7 }') })`
    const texts = Array.from({ length: 100_000 }, (_, i) => [i])
    const [{ device, ms }] = await takeTurns(
      [{ name: 'a', command: [process.execPath, '-e', counting], job: { texts } }],
      2,
      0,
      () => {},
    )
    expect(device).toBe('texts 100000')
    expect(ms).toEqual([1000, 1000])
  })

  it('are left out when they are not ready in time', async () => {
    const notes: string[] = []
    const slow = { name: 'slow', command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'] }
    const measured = await takeTurns([slow, contender('good')], 2, 1, (text) => notes.push(text), { startSeconds: 15 })
    expect(notes).toEqual(['slow: not ready after 15 s'])
    expect(measured.map(({ name }) => name)).toEqual(['good'])
  }, 60_000)

  it('do three rounds and no more once their time is spent', async () => {
    const [{ ms }] = await takeTurns([contender('a')], 50, 20, () => {}, { stepSeconds: 0 })
    expect(ms).toEqual([2000, 3000, 4000]) // after one warm-up
  })

  it('the median of an even number of times is the mean of the middle two', () => {
    expect(median([4, 1, 3])).toBe(3)
    expect(median([4, 1, 3, 2])).toBe(2.5)
  })
})

describe('the roofline', () => {
  const kernel = (name: string, seconds: number, operations: number, bytes: number) => ({
    kernel: name,
    calls: 1,
    seconds,
    operations,
    bytes,
  })
  const profile = rooflineOf(
    {
      milliseconds: 100,
      insideSeconds: 0.08,
      fmaPeak: 100e9,
      memoryBandwidth: 20e9,
      kernels: [
        kernel('norms', 0.04, 1e8, 2e8),
        kernel('products', 0.1, 8e9, 1e8),
        { ...kernel('none', 0, 0, 0), calls: 0 },
      ],
    },
    2,
  )

  it('says which ceiling is the lower one, and how much of it is reached', () => {
    const [products, norms] = profile.kernels
    expect(products).toMatchObject({ kernel: 'products', share: 0.5, gigaflops: 80, bound: 'arithmetic' })
    expect(products.shareOfBound).toBeCloseTo(0.8)
    // each of two threads has half of the bandwidth: 0.2 GB take 20 ms
    expect(norms).toMatchObject({ kernel: 'norms', share: 0.2, gigabytes: 5, bound: 'memory' })
    expect(norms.shareOfBound).toBeCloseTo(0.5)
    expect(profile.kernels).toHaveLength(2)
  })

  it('accounts for the time outside of the kernels', () => {
    expect(profile.aroundMilliseconds).toBeCloseTo(10) // 80 inside, 140 / 2 of them in kernels
    expect(profile.javascriptMilliseconds).toBeCloseTo(20)
  })
})
