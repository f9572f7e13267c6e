import type { Config } from '../config/schema.ts'
import { UserError } from '../core/errors.ts'
import { configOf } from './hf.ts'
import * as names from './names.ts'

type Shapes = ReadonlyMap<string, { shape: readonly number[] }>

/** Channels of an attention head in the reference, ViT-S and CLIP alike. No shape tells it. */
const HEAD_WIDTH = 64

/**
 * The configuration of weights that come without one, read off the shapes. Heads are taken to be 64 wide, one head for a
 * narrower model; `over` replaces what no shape tells. Throws a UserError when these are not the weights of a GroupViT.
 */
export function inferConfig(tensors: Shapes, source: string, over: Record<string, unknown> = {}): Config {
  const shapeOf = (name: string): readonly number[] => {
    const found = tensors.get(name)
    if (!found)
      throw new UserError(`${source} has no ${name}: these are not the weights of a GroupViT.`, {
        hint: 'gvx import takes Hugging Face’s and NVlabs’ checkpoints and those of gvx',
      })
    return found.shape
  }
  const layers = (prefix: (i: number) => string) => {
    let n = 0
    while (tensors.has(`${prefix(n)}layer_norm1.weight`)) n++
    return n
  }
  const depths: number[] = []
  while (layers((i) => names.layerPrefix(depths.length, i)) > 0)
    depths.push(layers((i) => names.layerPrefix(depths.length, i)))
  const grouping = depths.flatMap((_, stage) => {
    const prefix = names.stagePrefix(stage)
    if (!tensors.has(`${prefix}group_token`)) return []
    return [
      { tokens: shapeOf(`${prefix}group_token`)[1], groups: shapeOf(`${prefix}downsample.mlp_inter.fc2.weight`)[0] },
    ]
  })

  const [embedDim, , patchSize] = shapeOf(`${names.PATCHES}.weight`)
  const side = Math.round(Math.sqrt(shapeOf(names.IMAGE_POSITIONS)[1]))
  const [vocabSize, width] = shapeOf(names.TOKEN_TABLE)
  const [hiddenDim] = shapeOf(`${names.IMAGE_HEAD}.0.weight`)
  const headDepth = [0, 3, 6].filter((i) => tensors.has(`${names.IMAGE_HEAD}.${i}.weight`)).length
  const [dim] = shapeOf(`${names.IMAGE_HEAD}.${3 * (headDepth - 1)}.weight`)
  const widths = depths.map((_, stage) => shapeOf(`${names.layerPrefix(stage, 0)}layer_norm1.weight`)[0])
  const mlp = (name: string) => shapeOf(`${name}.fc1.weight`)[0] / embedDim
  const first = `${names.stagePrefix(0)}downsample.`
  const heads = (channels: number) => (channels % HEAD_WIDTH === 0 ? channels / HEAD_WIDTH : 1)
  return configOf(
    {
      imageSize: side * patchSize,
      patchSize,
      embedDim,
      numHeads: heads(embedDim),
      depth: depths.reduce((a, b) => a + b, 0),
      stages: grouping.length,
      depths,
      widthFactors: widths.every((width) => width === embedDim) ? 'auto' : widths.map((width) => width / embedDim),
      numGroupTokens: grouping.map(({ tokens }) => tokens),
      numOutputGroups: grouping.map(({ groups }) => groups),
      mlpRatio: mlp(`${names.layerPrefix(0, 0)}mlp`),
      ...(grouping.length > 0 && {
        assignment: { tokenMlpRatio: mlp(`${first}mlp_inter`), channelMlpRatio: mlp(`${first}mlp_channels`) },
      }),
      text: {
        width,
        depth: layers(names.textLayerPrefix),
        numHeads: heads(width),
        contextLength: shapeOf(names.TEXT_POSITIONS)[0],
        vocabSize,
      },
      projection: { dim, depth: headDepth, ...(headDepth > 1 && { hiddenDim }) },
      ...over,
    },
    source,
  )
}
