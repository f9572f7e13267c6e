import type { Config } from '../config/schema.ts'
import type { Observe } from '../core/updates.ts'
import { ensureScenes } from '../data/scenes/write.ts'

const BUILTIN = 'builtin:scenes'
const NOT_WANTED = new Error('nobody waits for the data any more')

/**
 * Makes the built-in data that the configurations ask for, where it is not there yet.
 * @param wanted asked between scenes; what is half made is removed when the answer is no
 * @returns whether the data is there
 */
export async function prepareData(
  configs: readonly Config[],
  home: string,
  observe: Observe,
  wanted: () => boolean,
): Promise<boolean> {
  const sets = new Map(configs.filter(usesScenes).map(({ data }) => [JSON.stringify(data.scenes), data.scenes]))
  try {
    for (const scenes of sets.values()) {
      const what = `${scenes.tier} scenes of ${scenes.size} pixels`
      await ensureScenes(scenes, home, (done, total) => {
        if (!wanted()) throw NOT_WANTED
        observe({ type: 'preparing', what, done, total })
      })
    }
    return true
  } catch (error) {
    if (error === NOT_WANTED) return false
    throw error
  }
}

const usesScenes = ({ data, eval: evaluation }: Config): boolean =>
  [data.train].flat().includes(BUILTIN) || evaluation.voc.root === BUILTIN
