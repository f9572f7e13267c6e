import { EventEmitter } from 'node:events'
import { decode } from 'sixel'
import { expect, test } from 'vitest'
import { kittyPicture, pictureLines, pictureMode, sixelPicture } from '../../lib/cli/terminal-picture.ts'
import { randomStream } from '../../lib/core/rng.ts'
import { decodeImage } from '../../lib/data/image.ts'

/** A terminal that answers the question for its attributes, or does not, and remembers what was done to it. */
function terminal(answer: string[] | null, { input = true, output = true } = {}) {
  const keys = new EventEmitter()
  const done: string[] = []
  return {
    done,
    listeners: () => keys.listenerCount('data'),
    input: {
      isTTY: input,
      isRaw: false,
      setRawMode: (raw: boolean) => void done.push(raw ? 'raw' : 'cooked'),
      resume: () => void done.push('resume'),
      pause: () => void done.push('pause'),
      on: keys.on.bind(keys),
      off: keys.off.bind(keys),
    } as never,
    output: {
      isTTY: output,
      write: (text: string) => {
        done.push(text)
        for (const part of answer ?? []) queueMicrotask(() => keys.emit('data', Buffer.from(part)))
        return true
      },
    } as never,
  }
}

const modeOf = ({ input, output }: ReturnType<typeof terminal>, env: Record<string, string> = {}) =>
  pictureMode(input, output, env)

test.each([
  [{ KITTY_WINDOW_ID: '1' }, 'kitty'],
  [{ TERM: 'xterm-kitty' }, 'kitty'],
  [{ TERM_PROGRAM: 'WezTerm' }, 'kitty'],
  [{ TERM: 'xterm-kitty', TMUX: '/tmp/tmux' }, 'blocks'],
  [{ TERM: 'screen-256color' }, 'blocks'],
  [{ TERM: 'xterm-kitty', NO_COLOR: '1' }, 'none'],
  [{ TERM: 'dumb' }, 'none'],
  [{ TERM: 'xterm', GVX_PICTURES: 'sixel' }, 'sixel'],
  [{ TERM: 'xterm-kitty', GVX_PICTURES: 'none' }, 'none'],
])('%j is enough to know: %s, and nothing is asked', async (env, mode) => {
  const screen = terminal(null)
  expect(await modeOf(screen, env as Record<string, string>)).toBe(mode)
  expect(screen.done).toEqual([])
})

test('a pipe gets no picture and no question, whatever the environment says', async () => {
  const pipe = terminal(['\x1b[?62;4c'], { output: false })
  expect(await modeOf(pipe, { TERM: 'xterm-kitty', GVX_PICTURES: 'kitty' })).toBe('none')
  expect(pipe.done).toEqual([])
})

test('a terminal whose attributes name 4 gets sixel, also when the answer comes in pieces', async () => {
  for (const answer of [['\x1b[?62;4;22c'], ['typed ahead\x1b[?6', '2;22;4', 'c']]) {
    const screen = terminal(answer)
    expect(await modeOf(screen, { TERM: 'xterm' })).toBe('sixel')
    expect(screen.done).toEqual(['raw', 'resume', '\x1b[c', 'cooked', 'pause'])
    expect(screen.listeners()).toBe(0)
  }
})

test('one without, one that does not answer and one without a keyboard get half blocks', async () => {
  expect(await modeOf(terminal(['\x1b[?64;1;2;14c']), { TERM: 'xterm' })).toBe('blocks')
  const mute = terminal(null)
  expect(await modeOf(mute, { TERM: 'xterm' })).toBe('blocks')
  expect(mute.done.slice(-2)).toEqual(['cooked', 'pause'])
  const deaf = terminal(['\x1b[?62;4c'], { input: false })
  expect(await modeOf(deaf, { TERM: 'xterm' })).toBe('blocks')
  expect(deaf.done).toEqual([])
})

/** Four flat colours. */
function quarters(width: number, height: number) {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      data.set([x < width / 2 ? 200 : 20, y < height / 2 ? 180 : 0, 100], 3 * (y * width + x))
  return { width, height, data }
}

test('kitty gets a PNG in pieces that it can put together', async () => {
  const noise = quarters(120, 90)
  const random = randomStream(0, 'picture')
  for (let i = 2; i < noise.data.length; i += 3) noise.data[i] = random.int(256)
  const text = kittyPicture(noise, 30)
  const pieces = [...text.matchAll(/\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\/g)]
  expect(pieces.map((piece) => piece[0]).join('')).toBe(text)
  expect(pieces.length).toBeGreaterThan(1)
  expect(pieces[0][1]).toBe('a=T,f=100,q=2,c=30,m=1')
  expect(pieces.slice(1).map((piece) => piece[1])).toEqual([...pieces.slice(2).map(() => 'm=1'), 'm=0'])
  for (const piece of pieces.slice(0, -1)) expect(piece[2]).toHaveLength(4096)
  const image = await decodeImage(Buffer.from(pieces.map((piece) => piece[2]).join(''), 'base64'))
  expect([image.width, image.height]).toEqual([120, 90])
  expect(Buffer.from(image.data).equals(Buffer.from(noise.data))).toBe(true)
})

test('sixel has the size and the colours of the picture, and ends', async () => {
  const picture = quarters(40, 30)
  const text = await sixelPicture(picture)
  expect(text).toMatch(/^\x1bP[\d;]*q"1;1;40;30/)
  expect(text.endsWith('\x1b\\')).toBe(true)
  const { width, height, data32 } = decode(text)
  expect([width, height]).toEqual([40, 30])
  for (const [x, y] of [
    [3, 3],
    [36, 3],
    [3, 27],
    [36, 27],
  ]) {
    const colour = data32[y * width + x]
    const got = [colour & 255, (colour >> 8) & 255, (colour >> 16) & 255]
    const want = [...picture.data.slice(3 * (y * 40 + x), 3 * (y * 40 + x) + 3)]
    for (const c of [0, 1, 2]) expect(Math.abs(got[c] - want[c])).toBeLessThan(6) // sixel has 101 levels
  }
})

test('a picture that is larger than the screen is shrunk to it', async () => {
  const space = { columns: 20, lines: 10, depth: '256' as const }
  const [sixel] = await pictureLines(quarters(800, 400), 'sixel', space)
  expect(sixel).toMatch(/"1;1;160;80/)
  const [kitty] = await pictureLines(quarters(800, 400), 'kitty', space)
  expect(kitty).toContain('c=20,')
  const [tall] = await pictureLines(quarters(100, 800), 'kitty', space)
  expect(tall).toContain('c=2,')
  expect(await pictureLines(quarters(800, 400), 'blocks', space)).toHaveLength(5)
})
