import { existsSync, readFileSync } from 'node:fs'
import { resolve, sep } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'

/** Confusion counts of each image: [class, intersection, predicted pixels, labelled pixels] for the classes it holds. */
export type ImageCounts = { id: string; counts: [number, number, number, number][] }[]

/** Beyond this a file of counts is not one. */
const MAX_BYTES = 256 << 20

/** The file of counts in a run folder as the database keeps it (gzip), or null when there is none to be read. */
export function readCounts(runDir: string, file: string): Buffer | null {
  const path = resolve(runDir, file)
  if (!path.startsWith(resolve(runDir) + sep) || !existsSync(path)) return null
  const images = imagesOf(JSON.parse(readFileSync(path, 'utf8')))
  return images && gzipSync(JSON.stringify(images))
}

/** The counts that the database keeps of an evaluation. */
export const unpackCounts = (blob: Buffer): ImageCounts =>
  JSON.parse(gunzipSync(blob, { maxOutputLength: MAX_BYTES }).toString('utf8'))

function imagesOf(json: unknown): ImageCounts | null {
  if (Array.isArray(json)) return json as ImageCounts
  const inside = (json as { perImage?: unknown } | null)?.perImage
  return Array.isArray(inside) ? (inside as ImageCounts) : null
}
