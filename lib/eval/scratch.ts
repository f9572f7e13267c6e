/**
 * Memory for the large arrays that are made for every image and are not wanted after it: the first touch of new memory
 * costs more than what is computed in it. An array is valid until the same name is asked for again.
 */
export type Scratch = (name: string, size: number) => Int32Array

/** Gives the memory of a name again, and more where that is too little. What was in it still is. */
export function keepScratch(): Scratch {
  const kept = new Map<string, Int32Array>()
  return (name, size) => {
    let array = kept.get(name)
    if (!array || array.length < size) {
      array = new Int32Array(size)
      kept.set(name, array)
    }
    return array.subarray(0, size)
  }
}

/** New memory each time, for results that are kept. */
export const newScratch: Scratch = (_, size) => new Int32Array(size)
