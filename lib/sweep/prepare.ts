import type { Config } from '../config/schema.ts'
import type { Observe } from '../core/updates.ts'
import { ensureScenes } from '../data/scenes/write.ts'

const BUILTIN = 'builtin:scenes'

/** Makes the built-in data that the configurations ask for, where it is not there yet. */
export async function prepareData(configs: readonly Config[], home: string, observe: Observe): Promise<void> {
  const wanted = new Map(configs.filter(usesScenes).map(({ data }) => [JSON.stringify(data.scenes), data.scenes]))
  for (const scenes of wanted.values()) {
    const what = `${scenes.tier} scenes of ${scenes.size} pixels`
    await ensureScenes(scenes, home, (done, total) => observe({ type: 'preparing', what, done, total }))
  }
}

const usesScenes = ({ data, eval: evaluation }: Config): boolean =>
  [data.train].flat().includes(BUILTIN) || evaluation.voc.root === BUILTIN
