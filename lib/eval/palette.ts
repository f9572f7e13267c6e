export type Rgb = readonly [r: number, g: number, b: number]

/**
 * Colours that stay apart for colour-blind eyes: Okabe and Ito's, then Paul Tol's muted ones, in an order that puts
 * unlike ones next to each other. Group 3 has the same colour in every picture of every run.
 */
const COLOURS: readonly Rgb[] = [
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [240, 228, 66],
  [0, 114, 178],
  [213, 94, 0],
  [204, 121, 167],
  [136, 34, 85],
  [221, 204, 119],
  [51, 34, 136],
  [17, 119, 51],
  [136, 204, 238],
  [204, 102, 119],
  [68, 170, 153],
  [153, 153, 51],
  [170, 68, 153],
  [221, 221, 221],
  [85, 85, 85],
]

const BACKGROUND: Rgb = [40, 40, 40]

/** Colour of a group or class. After the first 18 they come again, each round darker. */
export function colourOf(index: number): Rgb {
  const [r, g, b] = COLOURS[index % COLOURS.length]
  const shade = 0.7 ** Math.floor(index / COLOURS.length)
  return [Math.round(r * shade), Math.round(g * shade), Math.round(b * shade)]
}

/** Colours of the classes of a data set; background is dark grey. */
export const classColours = (classes: number, background: boolean): Rgb[] =>
  Array.from({ length: classes }, (_, c) => (background ? (c === 0 ? BACKGROUND : colourOf(c - 1)) : colourOf(c)))
