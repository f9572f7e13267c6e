import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import sharp from 'sharp'
import { messageOf, UserError } from '../core/errors.ts'
import { plural, printable } from '../core/text.ts'
import { decodeMask } from './mask.ts'

/** What is wrong with an image of a labelled split; both are untrusted: print them by `printable`. */
export type LabelProblem = { id: string; kind: string; message: string }

type Files = {
  imageOf(id: string): string | undefined
  maskOf(id: string): string
  remap: Uint8Array | null
  classes: number
}

/** Images that are looked at at the same time. */
const IN_FLIGHT = 16
/** Images in a message. */
const NAMED = 3

/**
 * Looks at every image of a split before it is evaluated: that image and mask are there, the mask can be read and holds
 * classes, and both have one size. Of the image only the header is read.
 */
export async function auditLabels(ids: readonly string[], files: Files): Promise<LabelProblem[]> {
  const problems: LabelProblem[] = []
  let next = 0
  const work = async () => {
    while (next < ids.length) {
      const id = ids[next++]
      const problem = await problemOf(id, files)
      if (problem) problems.push({ id, ...problem })
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, work))
  return problems.sort((a, b) => (a.id < b.id ? -1 : 1))
}

async function problemOf(
  id: string,
  { imageOf, maskOf, remap, classes }: Files,
): Promise<Omit<LabelProblem, 'id'> | null> {
  const image = imageOf(id)
  if (!image) return { kind: 'missing-image', message: 'has no image' }
  if (!existsSync(maskOf(id))) return { kind: 'missing-mask', message: 'has no mask' }
  let mask: ReturnType<typeof decodeMask>
  try {
    mask = decodeMask(await readFile(maskOf(id)), remap)
  } catch (error) {
    return { kind: 'corrupt-mask', message: `its mask ${messageOf(error)}` }
  }
  const unknown = mask.data.find((value) => value >= classes && value !== 255)
  if (unknown !== undefined) return { kind: 'unknown-label', message: `its mask has the value ${unknown}` }
  try {
    const { width, height } = await sharp(image).metadata()
    if (width !== mask.width || height !== mask.height)
      return {
        kind: 'size-mismatch',
        message: `its mask is ${mask.width}×${mask.height}, its image ${width}×${height}`,
      }
  } catch (error) {
    return { kind: 'corrupt-image', message: `its image cannot be read (${messageOf(error).split('\n')[0]})` }
  }
  return null
}

/** Throws a UserError when more than the share `quota` of a split cannot be used. */
export function refuseAbove(quota: number, problems: readonly LabelProblem[], total: number, what: string): void {
  if (problems.length / total <= quota) return
  const named = problems.slice(0, NAMED).map(({ id, message }) => `${printable(id)} ${printable(message)}`)
  const more = problems.length > NAMED ? ', …' : ''
  throw new UserError(
    `${problems.length} of ${plural(total, 'image')} of ${what} cannot be used (${countsOf(problems)}): ${named.join(', ')}${more}.`,
    { hint: 'gvx data check DIR lists them all; eval.voc.faultQuota is the share that may be left out' },
  )
}

/** `2 missing-mask, 1 size-mismatch`. */
function countsOf(problems: readonly LabelProblem[]): string {
  const counts = new Map<string, number>()
  for (const { kind } of problems) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ')
}
