import { Box, Text, useInput } from 'ink'
import { type ReactNode, useEffect, useReducer } from 'react'
import { frameLines } from './frame.ts'
import { nameOfKey } from './keys.ts'
import type { Lab } from './lab.ts'
import { type Line, STYLES } from './lines.ts'

/** The component that is the screen: it draws the lab's scene whenever the lab says so and hands it the keys. */
export function App({ lab }: { lab: Lab }): ReactNode {
  const [, redraw] = useReducer((n: number) => n + 1, 0)
  useEffect(() => lab.onChange(redraw), [lab])
  useInput((input, key) => {
    // a paste or fast typing arrives as one piece of several letters, esc with a letter at its heels as meta
    const letters = [...input]
    const pieces = !key.ctrl && (letters.length > 1 || (key.meta && !key.escape && letters.length === 1))
    const names = pieces ? letters.map((letter) => nameOfKey(letter, NO_FLAGS)) : [nameOfKey(input, key)]
    if (pieces && key.meta) lab.press('esc')
    for (const name of names) if (name !== null) lab.press(name)
  })
  const scene = lab.scene()
  return (
    <Box flexDirection="column" height={scene.height} overflow="hidden">
      {frameLines(scene).map((l, row) => (
        <Row key={row} line={l} colour={scene.colour} />
      ))}
    </Box>
  )
}

const NO_FLAGS = {
  ctrl: false,
  shift: false,
  upArrow: false,
  downArrow: false,
  leftArrow: false,
  rightArrow: false,
  pageUp: false,
  pageDown: false,
  home: false,
  end: false,
  return: false,
  escape: false,
  tab: false,
  backspace: false,
  delete: false,
}

function Row({ line, colour }: { line: Line; colour: boolean }): ReactNode {
  return (
    <Text wrap="truncate-end">
      {line.length === 0 ? ' ' : null}
      {line.map(({ text, tone }, i) => {
        const { color, ...style } = STYLES[tone]
        return (
          <Text
            key={i}
            color={colour ? color : undefined}
            bold={style.bold}
            dimColor={style.dim}
            inverse={style.inverse}
          >
            {text}
          </Text>
        )
      })}
    </Text>
  )
}
