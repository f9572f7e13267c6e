import { useInput } from 'ink'
import { type ReactNode, useEffect, useLayoutEffect, useReducer } from 'react'
import { NO_FLAGS, nameOfKey } from './keys.ts'
import type { Lab } from './lab.ts'
import type { Scene } from './screens/scene.ts'

/**
 * The component that is the screen: hands the keys to the lab and has the scene painted whenever the lab says so. It puts nothing into
 * Ink's own tree: measuring and cutting lines that are already laid out took 30 ms a frame there, painting them takes 2.
 */
export function App({ lab, paint }: { lab: Lab; paint: (scene: Scene) => void }): ReactNode {
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
  useLayoutEffect(() => paint(lab.scene()))
  return null
}
