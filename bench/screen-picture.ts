import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { openSession } from '../test/tui/pty.ts'
import { terminalSvg } from './terminal-svg.ts'

/**
 * A picture of the screen for the documentation, from what a real terminal shows:
 *
 *     npx tsx bench/screen-picture.ts docs/pictures/run.svg 100x34 '? help' 2 -- watch run1 run2 --home lab
 *
 * Runs gvx with what stands behind `--`, waits until the screen shows the text, types the keys (a word each, `enter` and `esc` by
 * name), waits for the screen to be drawn and writes it as SVG with its colours.
 */

const split = process.argv.indexOf('--')
if (split < 0) throw new Error('usage: screen-picture.ts FILE COLUMNSxROWS TEXT [KEY…] -- gvx arguments')
const [file, size, text, ...keys] = process.argv.slice(2, split)
const [columns, rows] = size.split('x').map(Number)
const session = openSession('bin/gvx.js', process.argv.slice(split + 1), { columns, rows })
await session.until(text)
for (const key of keys) {
  const before = session.frame().join('\n')
  session.type({ enter: '\r', esc: '\u001b', space: ' ' }[key] ?? key)
  await session.until((frame) => frame !== before)
}
mkdirSync(dirname(file), { recursive: true })
writeFileSync(file, terminalSvg(session))
session.type('q')
session.type('d')
await session.exited
