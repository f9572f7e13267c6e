import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import type { Config, ModelConfig } from '../config/schema.ts'
import { EXIT, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { IMAGE_MEAN, IMAGE_STD } from '../data/image.ts'
import { clipVocabulary } from '../data/tokenizer.ts'
import { readSafetensors, type StoredTensor, type WrittenTensor, writeSafetensors } from '../tensor/safetensors.ts'
import { fromHfConfig, toHfConfig } from './hf.ts'
import { inferConfig } from './infer.ts'
import { fromNvlabs, isNvlabs } from './nvlabs.ts'
import { readTorchFile } from './torch-file.ts'
import { takeWeights } from './weights.ts'

/** CLIP's vocabulary is the only one that gvx has. */
const CLIP_VOCABULARY = 49408

/**
 * Writes a folder that transformers loads by GroupViTModel.from_pretrained: config.json, model.safetensors and, for
 * CLIP's vocabulary, the files of tokenizer and image processor. Returns the names of the files.
 *
 * @throws UserError where transformers cannot run the model, or the folder holds something already
 */
export function writeHfFolder(dir: string, model: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>): string[] {
  const config = toHfConfig(model)
  if (existsSync(dir) && (!statSync(dir).isDirectory() || readdirSync(dir).length > 0))
    throw new UserError(`${printable(dir)} is not an empty folder.`, { hint: 'name a folder that is not there yet' })
  const weights = [...takeWeights(model, tensors, 'the checkpoint')].map(
    ([name, { shape, data }]): [string, WrittenTensor] => [
      name,
      { shape, data, dtype: name.endsWith('.num_batches_tracked') ? 'I64' : 'F32' },
    ],
  )
  const files: Record<string, string | Uint8Array> = {
    'config.json': withFloats(json(config)),
    'model.safetensors': writeSafetensors(weights, { format: 'pt' }),
    'preprocessor_config.json': json(imageProcessor(model.imageSize)),
    ...(model.text.vocabSize === CLIP_VOCABULARY && tokenizerFiles(model.text.contextLength)),
  }
  mkdirSync(dir, { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content)
  return Object.keys(files)
}

/** transformers 5 wants 1.0 and refuses 1 where its class says float; JSON.stringify cannot tell them apart. */
const withFloats = (text: string) => text.replace(/("(?:assign_eps|logit_scale_init_value)": -?\d+)(?=[,\n])/g, '$1.0')

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** What gvx does to an image before the encoder: bilinear, the whole square, ImageNet's statistics. */
const imageProcessor = (size: number) => ({
  image_processor_type: 'CLIPImageProcessor',
  do_resize: true,
  size: { shortest_edge: size },
  resample: 2,
  do_center_crop: true,
  crop_size: { height: size, width: size },
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: IMAGE_MEAN,
  image_std: IMAGE_STD,
  do_convert_rgb: true,
})

function tokenizerFiles(contextLength: number): Record<string, string> {
  const { merges, tokens } = clipVocabulary()
  const special = {
    bos_token: '<|startoftext|>',
    eos_token: '<|endoftext|>',
    unk_token: '<|endoftext|>',
    pad_token: '<|endoftext|>',
  }
  return {
    'vocab.json': JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    'merges.txt': `#version: 0.2\n${merges.join('\n')}\n`,
    'special_tokens_map.json': json(special),
    'tokenizer_config.json': json({
      tokenizer_class: 'CLIPTokenizer',
      processor_class: 'CLIPProcessor',
      do_lower_case: true,
      model_max_length: contextLength,
      ...special,
    }),
  }
}

export type ImportedModel = { config: Config; weights: Map<string, StoredTensor> }

/**
 * A model from a folder of Hugging Face, a safetensors file or a torch checkpoint (also of the reference code).
 * `over` replaces what weights without a config.json do not tell, such as the number of heads.
 *
 * @throws UserError where the source is missing, damaged, hostile or of another model
 */
export function readForeignModel(path: string, over: Record<string, unknown> = {}): ImportedModel {
  const file = weightsFileOf(path)
  if (file === path) {
    const found = readTensors(path)
    const config = inferConfig(found, path, over)
    return { config, weights: takeWeights(config.model, found, path) }
  }
  const config = fromHfConfig(readJson(join(path, 'config.json')), path)
  return { config, weights: takeWeights(config.model, readTensors(file), path) }
}

/** The file itself, or the weights in a folder of Hugging Face. */
function weightsFileOf(path: string): string {
  if (!existsSync(path))
    throw new UserError(`there is no ${printable(path)}.`, {
      hint: 'name a folder, a file or a hub id',
      exitCode: EXIT.nothingFound,
    })
  if (!statSync(path).isDirectory()) return path
  const file = ['model.safetensors', 'pytorch_model.bin']
    .map((name) => join(path, name))
    .find((name) => existsSync(name))
  if (file && existsSync(join(path, 'config.json'))) return file
  throw new UserError(`${printable(path)} has no config.json with model.safetensors or pytorch_model.bin.`, {
    hint: 'a folder that transformers has written holds both',
  })
}

/** The tensors of a file or folder by Hugging Face's names, whatever model they are of. Throws a UserError. */
export function readForeignTensors(path: string): Map<string, StoredTensor> {
  return readTensors(weightsFileOf(path))
}

function readTensors(path: string): Map<string, StoredTensor> {
  const bytes = readFileSync(path)
  const found = extname(path) === '.safetensors' ? readSafetensors(bytes, path) : readTorchFile(bytes, path)
  return isNvlabs(found) ? fromNvlabs(found) : found
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UserError(`${printable(path)} is not JSON.`, { cause: error })
  }
}
