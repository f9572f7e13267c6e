import { z } from 'zod'

/**
 * Every hyper-parameter of gvx: its name, default, bounds and help. YAML files, `--set`, error messages, the JSON schema
 * for editors, the columns of the database and the documentation come from here; nothing else knows a default.
 * Defaults are those of the reference code at the paper's size; the source stands in each description.
 */

const positiveInt = z.int().min(1)
const fraction = z.number().min(0).max(1)
/** A list with one entry a stage, or `auto`: derived from the dials as the paper derives it. */
const perStage = z.union([z.literal('auto'), z.array(positiveInt).max(4)])
/** One number for all grouping blocks, or a list with one for each. */
const perBlock = z.union([z.number().positive(), z.array(z.number().positive()).min(1).max(3)]).default(1)
/** Objects whose keys all have defaults may be left out. */
const section = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never)

const modelSchema = section({
  imageSize: positiveInt.default(224).describe('Side of the square training image in pixels (paper §4.1)'),
  patchSize: positiveInt.default(16).describe('Side of a patch in pixels; must divide imageSize (paper §4.1)'),
  embedDim: positiveInt.default(384).describe('Channels of the image transformer (ViT-S)'),
  numHeads: positiveInt.default(6).describe('Attention heads of the image transformer; must divide embedDim'),
  depth: positiveInt.default(12).describe('Transformer layers of the image encoder, all stages together'),
  stages: z
    .int()
    .min(0)
    .max(3)
    .default(2)
    .describe(
      'Grouping stages: 0 is a plain ViT with average pooling (paper Table 4), 1 and 2 are the GroupViTs of Table 3',
    ),
  groupTokens: positiveInt
    .optional()
    .describe(
      'Group tokens of the first stage; 64 in the paper. Gives numGroupTokens and numOutputGroups when they are auto',
    ),
  segments: positiveInt
    .optional()
    .describe(
      'Output groups of the last stage; 8 in the paper. Gives numGroupTokens and numOutputGroups when they are auto',
    ),
  depths: perStage
    .default('auto')
    .describe(
      'Layers before, between and after the grouping blocks (stages + 1 numbers). auto: half, then halves of the rest, rounded up where one is left for each: 6+6, 6+3+3, 2+1',
    ),
  numGroupTokens: perStage.default('auto').describe('Learned group tokens of each grouping stage. auto: 64 | 64, 8'),
  numOutputGroups: perStage.default('auto').describe('Segments that leave each grouping block. auto: 8 | 64, 8'),
  widthFactors: z
    .union([z.literal('auto'), z.array(z.number().positive()).min(1).max(4)])
    .default('auto')
    .describe(
      'Channels of each stage over embedDim (stages + 1 numbers, the first 1), as embed_factors of the reference code; a norm and a linear layer lead from one width to the next. auto: 1 everywhere, as in the paper',
    ),
  mlpRatio: z.number().positive().default(4).describe('Hidden width of the MLPs over the channels of their stage'),
  position: z
    .enum(['learned', 'sincos'])
    .default('learned')
    .describe('Position embedding: learned (reference) or fixed sine-cosine'),
  dropPathRate: fraction.default(0.1).describe('Stochastic depth, rising linearly from 0 over the layers'),
  dropoutRate: fraction.default(0).describe('Dropout after attention projections and MLPs'),
  assignment: section({
    mode: z
      .enum(['gumbel', 'hard', 'soft'])
      .default('gumbel')
      .describe(
        'Training: straight-through argmax with Gumbel noise (reference), without noise, or plain softmax. Evaluation never uses noise',
      ),
    temperature: z
      .number()
      .positive()
      .default(1)
      .describe('Temperature of the softmax over groups (Gumbel tau); hard maps in evaluation do not depend on it'),
    scale: z
      .enum(['inverse-sqrt', 'none'])
      .default('inverse-sqrt')
      .describe('Code: logits times 1/sqrt(channels of the stage); paper Eq. 3 has none'),
    sum: z
      .boolean()
      .default(false)
      .describe('Merge by the plain sum of the tokens instead of their mean (sum_assign of the code)'),
    eps: z
      .number()
      .min(0)
      .default(1)
      .describe('Added to the row sum before dividing by it: 1 in the code, 0 in paper Eq. 5'),
    evalMaps: z
      .enum(['soft', 'hard'])
      .default('soft')
      .describe('Maps multiplied over the stages in evaluation: soft in the code, hard in the paper'),
    tokenMlpRatio: z
      .number()
      .positive()
      .default(0.5)
      .describe('Hidden width of the MLPs that mix group tokens, over the channels of their stage'),
    channelMlpRatio: z
      .number()
      .positive()
      .default(4)
      .describe('Hidden width of the MLP after the merge, over the channels of its stage'),
  }),
  text: section({
    width: positiveInt.default(256).describe('Channels of the text transformer'),
    depth: positiveInt.default(12).describe('Layers of the text transformer'),
    numHeads: positiveInt.default(4).describe('Heads of the text transformer'),
    contextLength: z.int().min(3).default(77).describe('Tokens of a text with start and end'),
    vocabSize: positiveInt.default(49408).describe("Size of CLIP's vocabulary"),
  }),
  projection: section({
    dim: positiveInt.default(256).describe('Size of the common space of images and texts'),
    hiddenDim: positiveInt.default(4096).describe('Hidden width of the projection heads'),
    depth: z
      .int()
      .min(1)
      .max(3)
      .default(2)
      .describe('Linear layers of a projection head; BatchNorm and ReLU between them'),
    order: z
      .enum(['pool-first', 'project-first'])
      .default('pool-first')
      .describe(
        'An image is the projection of the mean of its segments (paper and code) or the mean of their projections: the head is then trained on what it is evaluated on, single segments (docs/lab-log.md)',
      ),
  }),
  logitScale: section({
    init: z
      .number()
      .default(Math.log(1 / 0.07))
      .describe('Logarithm of the initial scale of the logits, ln(1/0.07)'),
    max: z.number().positive().default(100).describe('The scale is clamped to this'),
  }),
  init: section({
    groupTokenStd: z
      .number()
      .min(0)
      .default(0.02)
      .describe(
        'Standard deviation of the first group tokens at initialisation; larger wakes the grouping up on small data (docs/lab-log.md)',
      ),
    laterGroupTokenStd: z
      .number()
      .min(0)
      .default(0)
      .describe(
        'The same for the group tokens of later stages, to which the projected tokens of the stage before are added; 0 in the reference',
      ),
    assignGain: perBlock.describe(
      'Factor on the value and output projections of the assignment at initialisation: segments then carry what was assigned to them (docs/lab-log.md)',
    ),
    assignSharpness: perBlock.describe(
      'Factor on the query and key projections of the assignment at initialisation: without it the product of two near-uniform maps segments nothing on small data (docs/lab-log.md)',
    ),
  }),
})

const multiLabelSchema = section({
  nouns: z
    .int()
    .min(0)
    .max(16)
    .default(3)
    .describe('K: nouns drawn from each caption; 0 turns the multi-label loss off (paper §3.3)'),
  weight: z.number().min(0).default(1).describe('Weight of the multi-label loss'),
  temperature: z
    .enum(['own', 'shared'])
    .default('own')
    .describe('Whether the multi-label loss has its own logit scale (code) or the contrastive one'),
  positives: z
    .enum(['mean-of-logs', 'log-of-sum'])
    .default('mean-of-logs')
    .describe('Image to text: soft targets 1/K (code) or the log of the sum over positives (paper Eq. 7)'),
})

const lossSchema = section({
  directions: z
    .enum(['mean', 'sum'])
    .default('mean')
    .describe('Image-to-text and text-to-image losses averaged (code) or summed (paper Eq. 6 and 7)'),
})

const autoOrBoolean = z.union([z.literal('auto'), z.boolean()]).default('auto')

const dataSchema = section({
  train: z
    .union([
      z.string(),
      z.array(z.union([z.string(), z.strictObject({ shards: z.string(), weight: z.number().positive() })])).min(1),
    ])
    .default('builtin:scenes')
    .describe(
      'Webdataset shards: paths, globs or brace patterns, or a list of them, each as it is or as { shards, weight } with the times an epoch sees it; builtin:scenes makes and uses the synthetic scenes',
    ),
  shuffleCaptions: z.boolean().default(false).describe('Control: pairs every image with the caption of another'),
  augment: z
    .enum(['none', 'crop-flip', 'reference'])
    .default('crop-flip')
    .describe('none; random resized crop and flip; or with RandAugment and random erasing as the reference'),
  augmentations: section({
    crop: autoOrBoolean.describe('Random resized crop'),
    flip: autoOrBoolean.describe('Random mirror'),
    randAugment: autoOrBoolean.describe('RandAugment rand-m9-mstd0.5-inc1'),
    erasing: autoOrBoolean.describe('Random erasing by noise, p = 0.25'),
  }).describe('Single switches over what data.augment chooses; auto: as it chooses'),
  cropScale: z.tuple([fraction, fraction]).default([0.08, 1]).describe('Area of the random crop over the image'),
  nounTags: z
    .enum(['reference', 'nouns', 'phrases'])
    .default('reference')
    .describe(
      'What counts as a noun: the tags of the reference (they keep verbs), NN NNS NNP NNPS, or such nouns with their adjectives',
    ),
  templates: z
    .enum(['clip80', 'clip7', 'single'])
    .default('clip80')
    .describe('Prompt templates the nouns are put into'),
  shuffleBuffer: positiveInt.default(10000).describe('Samples held for shuffling'),
  workers: z.int().min(0).max(64).default(1).describe('Decoding threads; 0 decodes in the training thread'),
  faultQuota: fraction
    .default(0.05)
    .describe('Share of bad samples (corrupt image, empty caption, …) above which the run fails'),
  scenes: section({
    tier: z
      .enum(['easy', 'medium', 'hard'])
      .default('easy')
      .describe('How firmly colour and texture are bound to the thing'),
    size: positiveInt.default(64).describe('Side of a scene in pixels'),
    train: positiveInt.default(20000).describe('Scenes in the training split'),
    val: positiveInt.default(500).describe('Scenes in the validation split'),
    test: positiveInt.default(500).describe('Scenes in the test split'),
    seed: z.int().min(0).default(0).describe('Seed of the generator'),
  }),
})

const trainSchema = section({
  steps: positiveInt.default(209910).describe('Optimizer steps; 30 epochs of the reference data at batch 4096'),
  batchSize: positiveInt.default(4096).describe('Images of a step'),
  learningRate: z.number().positive().default(0.0016).describe('Peak learning rate'),
  minLearningRate: z.number().min(0).default(4e-5).describe('Learning rate at the end of the cosine'),
  warmupLearningRate: z.number().min(0).default(4e-6).describe('Learning rate of the first step'),
  warmup: fraction
    .default(2 / 30)
    .describe('Share of the steps with linear warm-up: 2 of 30 epochs in the code, 5 in the paper'),
  weightDecay: z.number().min(0).default(0.05).describe('Decoupled weight decay'),
  decayRule: z
    .enum(['reference', 'matrices'])
    .default('reference')
    .describe(
      'What decays: everything but 1-d parameters and biases (the code: logit scales decay too), or only what has two dimensions or more',
    ),
  betas: z.tuple([fraction, fraction]).default([0.9, 0.999]).describe('AdamW moments'),
  eps: z.number().positive().default(1e-8).describe('AdamW epsilon'),
  clipNorm: z.number().positive().default(5).describe('Largest global norm of the gradient'),
  init: z.string().nullable().default(null).describe('A run or checkpoint to start the weights from'),
  logEvery: positiveInt.default(10).describe('Steps between two metric events'),
  checkpointEvery: positiveInt.default(100).describe('Steps between two checkpoints'),
})

const evalSchema = section({
  every: positiveInt.default(250).describe('Steps between two evaluations during training'),
  limit: z.int().min(0).default(200).describe('Images of an evaluation during training; 0 for all'),
  metric: z.string().default('eval/voc/mIoU').describe('Metric that chooses the best checkpoint'),
  weights: z
    .enum(['best', 'last'])
    .default('best')
    .describe('Weights of the final evaluation: the best checkpoint by eval.metric, or the last'),
  shortSide: z
    .union([z.literal('auto'), positiveInt])
    .default('auto')
    .describe('Short side of an evaluated image; auto: twice imageSize, 448 for 224 as in the reference'),
  mode: z.enum(['whole', 'slide']).default('slide').describe('The whole image at once, or a sliding window'),
  cropSize: z
    .union([z.literal('auto'), positiveInt])
    .default('auto')
    .describe('Side of the sliding window; auto: shortSide'),
  stride: z
    .union([z.literal('auto'), positiveInt])
    .default('auto')
    .describe('Stride of the sliding window; auto: half of cropSize'),
  topK: z.int().min(0).default(5).describe('Classes an image may hold, by its own similarity; 0 for all'),
  imagePrior: z
    .boolean()
    .default(true)
    .describe("Multiply the segments' class probabilities by the image's (softmax times softmax)"),
  backgroundThreshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.95)
    .describe('A pixel whose best class is below this is background: 0.95 in the code for VOC, 0.9 in the paper'),
  templates: z.enum(['single', 'clip7', 'clip80']).default('single').describe('Prompt templates of the class names'),
  classification: section({
    templates: z
      .enum(['single', 'clip7', 'clip80'])
      .default('clip7')
      .describe('Prompt templates of zero-shot classification: the seven with which the reference evaluates ImageNet'),
  }),
  plainSegments: z
    .enum(['patches', 'kmeans', 'mean-shift', 'spectral'])
    .default('patches')
    .describe(
      'Segments of a plain ViT (model.stages 0): each patch by itself, or clusters of the patches (paper Table 4); GroupViTs bring their own',
    ),
  clusters: positiveInt
    .default(8)
    .describe('Clusters of an image for k-means and spectral clustering; mean shift finds their number itself'),
  voc: section({
    root: z
      .string()
      .default('builtin:scenes')
      .describe('Folder in PASCAL VOC layout (VOCdevkit or VOC2012); builtin:scenes uses the synthetic scenes'),
    split: z
      .string()
      .default('auto')
      .describe(
        'List under ImageSets/Segmentation that is reported; auto: test where the data set has one that is open (scenes), else val',
      ),
    selectSplit: z
      .string()
      .default('val')
      .describe('List that is evaluated during training and chooses the best checkpoint'),
    classNames: z
      .enum(['reference', 'voc'])
      .default('reference')
      .describe("VOC's classes as the reference names them (table, plant, monitor) or as VOC does"),
    faultQuota: fraction
      .default(0)
      .describe(
        'Share of images without a mask, of another size or with unknown labels that an evaluation may leave out',
      ),
  }),
})

const runtimeSchema = section({
  backend: z.enum(['auto', 'node-gpu', 'native', 'wasm', 'cpu']).default('auto').describe('Backend of the tensors'),
  threads: z.int().min(0).default(0).describe('Threads of the backend; 0 for all cores'),
})

const inputSchema = z.strictObject({
  name: z.string().max(120).default('run').describe('What people call the run'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0)
    .describe('Seed of initialisation, data order and noise'),
  model: modelSchema,
  loss: lossSchema,
  multiLabel: multiLabelSchema,
  data: dataSchema,
  train: trainSchema,
  eval: evalSchema,
  runtime: runtimeSchema,
})

type Input = z.output<typeof inputSchema>
type ModelLists = {
  groupTokens: number
  segments: number
  depths: number[]
  numGroupTokens: number[]
  numOutputGroups: number[]
}
type ResolvedModel = Omit<Input['model'], keyof ModelLists> & ModelLists
/** One complete configuration: every list is written out, every default is in its place. */
export type Config = Omit<Input, 'model'> & { model: ResolvedModel }
export type ModelConfig = ResolvedModel

/** Parses one configuration; `configSchema.parse(config)` of a parsed one changes nothing. */
export const configSchema = inputSchema.transform((input, context): Config => {
  const fail = (path: string[], message: string) => {
    context.issues.push({ code: 'custom', path, message, input: undefined })
  }
  const model = input.model
  const lists = resolveLists(model, (key, message) => fail(['model', key], message))
  if (model.imageSize % model.patchSize !== 0)
    fail(['model', 'patchSize'], `must divide model.imageSize (${model.imageSize}), got ${model.patchSize}`)
  if (model.embedDim % model.numHeads !== 0)
    fail(['model', 'numHeads'], `must divide model.embedDim (${model.embedDim}), got ${model.numHeads}`)
  checkWidths(model, (message) => fail(['model', 'widthFactors'], message))
  if (model.text.width % model.text.numHeads !== 0)
    fail(
      ['model', 'text', 'numHeads'],
      `must divide model.text.width (${model.text.width}), got ${model.text.numHeads}`,
    )
  for (const key of ['assignGain', 'assignSharpness'] as const) {
    const value = model.init[key]
    if (Array.isArray(value) && value.length !== model.stages)
      fail(
        ['model', 'init', key],
        `expected a number or ${model.stages} numbers, one for each grouping block, got ${value.length}`,
      )
  }
  if (input.data.cropScale[0] > input.data.cropScale[1]) fail(['data', 'cropScale'], 'expected [smallest, largest]')
  if (input.train.batchSize < 2) fail(['train', 'batchSize'], 'a contrastive loss needs at least 2 images in a batch')
  const { widthFactors } = model
  const isOneWidth = widthFactors !== 'auto' && widthFactors.every((factor) => factor === 1)
  return { ...input, model: { ...model, ...lists, widthFactors: isOneWidth ? 'auto' : widthFactors } }
})

/** The lists of the stages from the dials, as the paper derives them: 6+6, 6+3+3; 64→8; 64→64, 8→8. */
function resolveLists(model: Input['model'], fail: (key: keyof ModelLists, message: string) => void): ModelLists {
  const { stages, depth } = model
  const groupTokens =
    model.groupTokens ?? (Array.isArray(model.numGroupTokens) ? model.numGroupTokens[0] : undefined) ?? 64
  const segments =
    model.segments ?? (Array.isArray(model.numOutputGroups) ? model.numOutputGroups.at(-1) : undefined) ?? 8
  const later = Array.from({ length: Math.max(0, stages - 1) }, () => segments)
  const auto: ModelLists = {
    groupTokens,
    segments,
    depths: splitDepth(depth, stages),
    numGroupTokens: stages === 0 ? [] : [groupTokens, ...later],
    numOutputGroups: stages === 0 ? [] : stages === 1 ? [segments] : [groupTokens, ...later],
  }
  const take = (key: 'depths' | 'numGroupTokens' | 'numOutputGroups', length: number): number[] => {
    const given = model[key]
    if (given === 'auto') return auto[key]
    if (given.length !== length)
      fail(key, `expected ${length} numbers for model.stages = ${stages}, got [${given.join(', ')}]; or write auto`)
    return given
  }
  const lists = {
    groupTokens,
    segments,
    depths: take('depths', stages + 1),
    numGroupTokens: take('numGroupTokens', stages),
    numOutputGroups: take('numOutputGroups', stages),
  }
  if (stages > 0) {
    if (lists.numGroupTokens[0] !== groupTokens)
      fail(
        'groupTokens',
        `is ${groupTokens}, but model.numGroupTokens begins with ${lists.numGroupTokens[0]}: set only one of them`,
      )
    if (lists.numOutputGroups.at(-1) !== segments)
      fail(
        'segments',
        `is ${segments}, but model.numOutputGroups ends with ${lists.numOutputGroups.at(-1)}: set only one of them`,
      )
  }
  const total = lists.depths.reduce((a, b) => a + b, 0)
  if (total !== depth) fail('depths', `add up to ${total}, but model.depth is ${depth}`)
  return lists
}

function checkWidths({ widthFactors, stages, embedDim, numHeads }: Input['model'], fail: (message: string) => void) {
  if (widthFactors === 'auto') return
  const got = `got [${widthFactors.join(', ')}]`
  if (widthFactors.length !== stages + 1)
    fail(`expected ${stages + 1} numbers for model.stages = ${stages}, ${got}; or write auto`)
  else if (widthFactors[0] !== 1) fail(`must begin with 1: model.embedDim is the width of the first stage, ${got}`)
  else if (widthFactors.some((factor) => (factor * embedDim) % numHeads !== 0))
    fail(`times model.embedDim (${embedDim}) must be multiples of model.numHeads (${numHeads}), ${got}`)
}

function splitDepth(depth: number, stages: number): number[] {
  const out: number[] = []
  let rest = depth
  for (let left = stages; left > 0; left--) {
    const part = Math.max(1, Math.min(Math.ceil(rest / 2), rest - left))
    out.push(part)
    rest -= part
  }
  return [...out, rest]
}

/** Where a configuration says something about the run that does not change its numbers: not part of its identity. */
export const NOT_IDENTITY = ['name', 'seed', 'runtime', 'train.logEvery', 'train.checkpointEvery'] as const

/** Raised when a default changes its meaning, so that old runs are not taken for new ones. */
export const SCHEMA_VERSION = 1

/** JSON schema of a configuration file, for editors. */
export const configJsonSchema = (): object => z.toJSONSchema(inputSchema, { io: 'input' })
