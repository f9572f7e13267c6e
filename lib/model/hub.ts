import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { downloadFile, type FileDownloadInfoOutput, fileDownloadInfo, HubApiError } from '@huggingface/hub'
import { EXIT, messageOf, UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'

/** `owner/model`: two names, and no path of this machine. */
export const isHubId = (source: string): boolean =>
  /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/.test(source) &&
  !/\.(safetensors|pth|pt|bin)$/.test(source) &&
  !existsSync(source)

export type HubOptions = {
  home: string
  say: (text: string) => void
  signal: AbortSignal
  /** HF_ENDPOINT and HF_TOKEN of the environment. */
  env?: { HF_ENDPOINT?: string; HF_TOKEN?: string }
}

/**
 * Fetches config.json and the weights of a model on the Hugging Face hub to `data/hub/<id>` and returns that folder. What
 * is there already is kept, what broke off goes on, and every file is checked against the hash that the hub names.
 *
 * @throws UserError when the hub does not answer, does not know the model, or sends something else
 */
export async function downloadFromHub(id: string, options: HubOptions): Promise<string> {
  const dir = join(options.home, 'data', 'hub', id.replace('/', '--'))
  mkdirSync(dir, { recursive: true })
  await fetchFile(id, 'config.json', dir, options)
  if (!existsSync(join(dir, 'pytorch_model.bin')) && !(await fetchFile(id, 'model.safetensors', dir, options, true)))
    await fetchFile(id, 'pytorch_model.bin', dir, options)
  return dir
}

/** Returns whether the hub has the file; throws unless it is `optional`. */
async function fetchFile(
  id: string,
  path: string,
  dir: string,
  { say, signal, env = process.env }: HubOptions,
  optional = false,
): Promise<boolean> {
  const target = join(dir, path)
  if (existsSync(target)) return true
  const part = `${target}.part`
  const hubUrl = (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '')
  const failed = (why: string, hint?: string) =>
    new UserError(`${printable(`${hubUrl}/${id}/${path}`)}: ${why}.`, { hint, exitCode: EXIT.environment })
  const remote = {
    repo: id,
    path,
    hubUrl,
    accessToken: env.HF_TOKEN || undefined,
    fetch: ((url, init) => fetch(url, { ...init, signal })) as typeof fetch,
  }
  try {
    const info = await fileDownloadInfo(remote)
    if (info === null) throw new HubApiError(hubUrl, 404)
    await fetchRest(remote, info, part, say)
    if (!(await isIntact(part, info))) {
      rmSync(part)
      throw failed('what arrived has another size or checksum than the hub names', 'try again')
    }
  } catch (error) {
    if (error instanceof UserError) throw error
    if (!(error instanceof HubApiError))
      throw failed(whyUnreached(error), 'what has arrived is kept: the same command goes on')
    if (error.statusCode === 404 && optional) return false
    throw failed(
      `the hub answers ${error.statusCode}`,
      error.statusCode < 500 ? 'check the id; HF_TOKEN opens models that are not public' : undefined,
    )
  }
  renameSync(part, target)
  return true
}

/** fetch says only that it failed; its cause says why: a name that nobody knows, a connection that is refused. */
function whyUnreached(error: unknown): string {
  const cause = error instanceof TypeError ? error.cause : undefined
  if (!(cause instanceof Error)) return messageOf(error)
  return `the hub cannot be reached (${printable((cause as NodeJS.ErrnoException).code ?? cause.message)})`
}

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

/** Appends to `part` what it lacks. No write is under way when it ends, also where the connection breaks off. */
async function fetchRest(
  remote: Parameters<typeof downloadFile>[0],
  info: FileDownloadInfoOutput,
  part: string,
  say: (text: string) => void,
): Promise<void> {
  const have = sizeOf(part)
  if (have >= info.size && info.size > 0) return
  // Over Xet's own protocol a file comes in pieces of its own; plain ranges of the same file go on anywhere.
  const file = await downloadFile({ ...remote, downloadInfo: info, xet: false })
  if (file === null) throw new HubApiError(String(remote.hubUrl), 404)
  const body = Readable.fromWeb(file.slice(have).stream() as never)
  const arrived = report(remote.path, info.size, have, say)
  const output = await open(part, 'a')
  try {
    for await (const chunk of body) {
      await output.appendFile(chunk)
      arrived(chunk.length)
    }
  } finally {
    await output.close()
  }
}

/** A line for every tenth of a large file: the function returned is told how many bytes more have arrived. */
function report(name: string, total: number, from: number, say: (text: string) => void): (bytes: number) => void {
  const tenths = () => Math.floor((10 * done) / total)
  let done = from
  let said = tenths()
  return (bytes) => {
    done += bytes
    if (total < 10e6 || tenths() === said) return
    said = tenths()
    say(`${name}: ${Math.round((100 * done) / total)} % of ${(total / 1e6).toFixed(0)} MB`)
  }
}

/** Whether a file is the one the hub describes: its etag is the SHA-256 of a large file, or git's hash of a small one. */
async function isIntact(file: string, { size, etag }: FileDownloadInfoOutput): Promise<boolean> {
  if (sizeOf(file) !== size) return false
  const expected = /^(?:W\/)?"?([0-9a-f]{64}|[0-9a-f]{40})"?$/.exec(etag)?.[1]
  if (!expected) return true
  const hash = createHash(expected.length === 64 ? 'sha256' : 'sha1')
  if (expected.length === 40) hash.update(`blob ${size}\0`)
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex') === expected
}
