import type { ReadStream, WriteStream } from 'node:tty'
import { type Canvas, encodePng, shrink } from '../eval/canvas.ts'
import { type ColourDepth, halfBlocks } from '../eval/half-blocks.ts'

/** How a terminal shows a picture; `none` in a pipe, with NO_COLOR and on a terminal that knows no escapes. */
export type PictureMode = 'kitty' | 'sixel' | 'blocks' | 'none'

type Environment = Record<string, string | undefined>
type Input = Pick<ReadStream, 'isTTY' | 'isRaw' | 'setRawMode' | 'resume' | 'pause' | 'on' | 'off'>
type Output = Pick<WriteStream, 'isTTY' | 'write'>

const ESC = '\x1b'
/** Longest that a terminal is waited for; one over a slow line that answers later is shown half blocks. */
const PATIENCE_MS = 300
/** A cell of a terminal in pixels, where it does not say: what most have, at least. */
const CELL = { width: 8, height: 16 }

/**
 * What the terminal can show, by its own word: kitty's protocol by the environment, sixel by its answer to the question for
 * its attributes (DA1). Inside tmux and screen, which do not pass pictures on, half blocks.
 * GVX_PICTURES=kitty|sixel|blocks|none decides where a terminal says too little.
 */
export async function pictureMode(input: Input, output: Output, env: Environment): Promise<PictureMode> {
  const { NO_COLOR, TERM = '', TERM_PROGRAM, KITTY_WINDOW_ID, TMUX, GVX_PICTURES } = env
  if (!output.isTTY || NO_COLOR || TERM === 'dumb') return 'none'
  const wanted = (['kitty', 'sixel', 'blocks', 'none'] as const).find((mode) => mode === GVX_PICTURES)
  if (wanted) return wanted
  if (TMUX || /^(?:tmux|screen)/.test(TERM)) return 'blocks'
  if (KITTY_WINDOW_ID || TERM === 'xterm-kitty' || TERM_PROGRAM === 'WezTerm') return 'kitty'
  return (await deviceAttributes(input, output)).includes('4') ? 'sixel' : 'blocks'
}

/** The attributes that a terminal names of itself (`ESC [ ? 62 ; 4 c`): none where it does not answer. */
async function deviceAttributes(input: Input, output: Output): Promise<string[]> {
  if (!input.isTTY) return []
  const wasRaw = input.isRaw
  input.setRawMode(true) // else the answer would be echoed, and kept back until a line ends
  try {
    const answer = await new Promise<string>((done) => {
      let heard = ''
      const listen = (data: Buffer | string) => {
        heard += data.toString()
        if (/\x1b\[\?[\d;]*c/.test(heard) || heard.includes('\x03')) finish()
      }
      const timer = setTimeout(() => finish(), PATIENCE_MS)
      const finish = () => {
        clearTimeout(timer)
        input.off('data', listen)
        done(heard)
      }
      input.on('data', listen)
      input.resume()
      output.write(`${ESC}[c`)
    })
    if (answer.includes('\x03')) process.kill(process.pid, 'SIGINT') // raw mode took the meaning of Ctrl-C
    return (/\x1b\[\?([\d;]*)c/.exec(answer)?.[1] ?? '').split(';').slice(1)
  } finally {
    input.setRawMode(wasRaw)
    input.pause()
  }
}

/** A picture as the lines that show it, at most `columns` wide and about `lines` high. */
export async function pictureLines(
  canvas: Canvas,
  mode: Exclude<PictureMode, 'none'>,
  { columns, lines, depth }: { columns: number; lines: number; depth: ColourDepth },
): Promise<string[]> {
  if (mode === 'blocks') return halfBlocks(canvas, columns, lines, depth)
  const [width, height] = [columns * CELL.width, lines * CELL.height]
  if (mode === 'kitty')
    return [
      kittyPicture(
        canvas,
        Math.min(columns, Math.ceil(canvas.width / CELL.width), Math.floor((canvas.width / canvas.height) * lines * 2)),
      ),
    ]
  const scale = Math.min(width / canvas.width, height / canvas.height, 1)
  return [
    await sixelPicture(
      scale < 1 ? shrink(canvas, Math.floor(canvas.width * scale), Math.floor(canvas.height * scale)) : canvas,
    ),
  ]
}

/** kitty's graphics protocol: a PNG in base64, in pieces of 4096 bytes, `columns` wide; `q=2` asks for no answer. */
export function kittyPicture(canvas: Canvas, columns: number): string {
  const data = encodePng(canvas).toString('base64')
  const pieces = data.match(/.{1,4096}/g) ?? []
  return pieces
    .map((piece, i) => {
      const more = i < pieces.length - 1 ? 1 : 0
      const control = i === 0 ? `a=T,f=100,q=2,c=${Math.max(1, columns)},m=${more}` : `m=${more}`
      return `${ESC}_G${control};${piece}${ESC}\\`
    })
    .join('')
}

/** DEC sixel of at most 256 colours. */
export async function sixelPicture({ width, height, data }: Canvas): Promise<string> {
  const { image2sixel } = await import('sixel')
  const rgba = new Uint8Array(width * height * 4).fill(255)
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i)
  return image2sixel(rgba, width, height, 256)
}

/** How many colours half blocks may use. */
export function colourDepth({ NO_COLOR, COLORTERM, TERM }: Environment): ColourDepth {
  if (NO_COLOR || TERM === 'dumb') return 'none'
  return /truecolor|24bit/.test(COLORTERM ?? '') ? 'true' : '256'
}
