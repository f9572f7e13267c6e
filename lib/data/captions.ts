import type { RandomStream } from '../core/rng.ts'
import { SampleError } from './fault.ts'

/**
 * The captions of a sample: those that its .json lists (`captions`, `caption`, `sentences`, `text`), else its text file.
 *
 * @throws SampleError `empty-caption` or `bad-json`
 */
export function readCaptions(text: Uint8Array | null, json: Uint8Array | null): string[] {
  const listed = json ? captionsOf(parse(json)) : []
  const plain = text ? [Buffer.from(text).toString('utf8')] : []
  // img2dataset's .json repeats the one caption beside much else: only a list says more than the text file.
  const captions = (listed.length > 1 || plain.length === 0 ? listed : plain)
    .map((c) => c.trim())
    .filter((c) => c !== '')
  if (captions.length === 0) throw new SampleError('empty-caption', 'the caption is empty')
  return captions
}

/** One of the captions at random. */
export const drawCaption = (captions: readonly string[], random: RandomStream): string => random.pick(captions)

function parse(json: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(json).toString('utf8'))
  } catch {
    throw new SampleError('bad-json', 'the .json is not JSON')
  }
}

function captionsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (Array.isArray(value)) return value.flatMap(captionsOf)
  if (value === null || typeof value !== 'object') return []
  const record = value as Record<string, unknown>
  for (const name of ['captions', 'caption', 'sentences', 'text', 'raw'])
    if (Object.hasOwn(record, name)) return captionsOf(record[name])
  return []
}
