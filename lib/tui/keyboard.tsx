import { useInput } from 'ink'
import { NO_FLAGS, nameOfKey } from './keys.ts'

/**
 * What there is of the screen in Ink: it reads the keys. Lines are painted past it, because measuring and cutting what is already laid
 * out took 30 ms a frame there, and painting takes 2.
 */
export function Keyboard({ press }: { press: (key: string) => void }): null {
  useInput((input, key) => {
    // a paste or fast typing arrives as one piece of several letters, esc with a letter at its heels as meta
    const letters = [...input]
    const pieces = !key.ctrl && (letters.length > 1 || (key.meta && !key.escape && letters.length === 1))
    const names = pieces ? letters.map((letter) => nameOfKey(letter, NO_FLAGS)) : [nameOfKey(input, key)]
    if (pieces && key.meta) press('esc')
    for (const name of names) if (name !== null) press(name)
  })
  return null
}
