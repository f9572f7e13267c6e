import type { Line, Tone } from './lines.ts'

/** Lines as a terminal takes them: the only place that knows escape codes for colours. */

/** Bits of colour a terminal has, as `tty.WriteStream.getColorDepth` says: 1 is none. */
export type ColourDepth = 1 | 4 | 8 | 24

type Look = {
  rgb?: readonly [number, number, number]
  indexed?: number
  basic?: number
  attributes?: readonly number[]
}

const [BOLD, DIM, INVERSE] = [1, 2, 7]

/**
 * Okabe & Ito 2008, "Color Universal Design", and their nearest neighbours in the palettes of 256 and 16 colours. Black is left out:
 * the terminal's own foreground stands for it.
 */
const ORANGE: Look = { rgb: [230, 159, 0], indexed: 178, basic: 33 }
const SKY_BLUE: Look = { rgb: [86, 180, 233], indexed: 74, basic: 96 }
const GREEN: Look = { rgb: [0, 158, 115], indexed: 36, basic: 32 }
const YELLOW: Look = { rgb: [240, 228, 66], indexed: 227, basic: 93 }
const BLUE: Look = { rgb: [0, 114, 178], indexed: 32, basic: 94 }
const VERMILION: Look = { rgb: [213, 94, 0], indexed: 166, basic: 31 }
const PURPLE: Look = { rgb: [204, 121, 167], indexed: 175, basic: 35 }

const LOOKS: Record<Tone, Look> = {
  plain: {},
  dim: { attributes: [DIM] },
  title: { attributes: [BOLD] },
  good: GREEN,
  bad: { ...VERMILION, attributes: [BOLD] },
  warn: ORANGE,
  accent: SKY_BLUE,
  selected: { attributes: [INVERSE] },
  series0: SKY_BLUE,
  series1: ORANGE,
  series2: GREEN,
  series3: PURPLE,
  series4: YELLOW,
  series5: BLUE,
  series6: VERMILION,
}

export function encodeLine(line: Line, depth: ColourDepth): string {
  return line
    .map(({ text, tone, ansi }) => {
      if (ansi !== undefined) return ansi
      const codes = codesOf(LOOKS[tone], depth)
      return codes === '' ? text : `\u001b[${codes}m${text}\u001b[0m`
    })
    .join('')
}

function codesOf({ rgb, indexed, basic, attributes = [] }: Look, depth: ColourDepth): string {
  const colour =
    rgb === undefined || depth === 1
      ? []
      : depth === 24
        ? [`38;2;${rgb.join(';')}`]
        : [depth === 8 ? `38;5;${indexed}` : `${basic}`]
  return [...attributes, ...colour].join(';')
}
