/**
 * Text that came from outside (captions, file names, run names) made safe to print: C0, C1, bidi and zero-width
 * controls become visible escapes, so that no caption can move the cursor or recolour the screen.
 */
export function printable(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g, (c) =>
      c === '\t' ? ' ' : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
}

/** `1 run`, `2 runs`. */
export const plural = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`
