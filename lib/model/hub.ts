import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
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
 * is there already is kept, what broke off goes on, and the weights are checked against the hash that the hub names.
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
  name: string,
  dir: string,
  options: HubOptions,
  optional = false,
): Promise<boolean> {
  const target = join(dir, name)
  if (existsSync(target)) return true
  const { HF_ENDPOINT, HF_TOKEN } = options.env ?? process.env
  const url = `${(HF_ENDPOINT || 'https://huggingface.co').replace(/\/$/, '')}/${id}/resolve/main/${name}`
  const authorization: Record<string, string> = HF_TOKEN ? { authorization: `Bearer ${HF_TOKEN}` } : {}
  const part = `${target}.part`
  const have = existsSync(part) ? statSync(part).size : 0
  const range: Record<string, string> = have > 0 ? { range: `bytes=${have}-` } : {}
  const failed = (why: string, hint?: string) =>
    new UserError(`${printable(url)}: ${why}.`, { hint, exitCode: EXIT.environment })
  let response: Response
  try {
    const head = await fetch(url, {
      method: 'HEAD',
      headers: authorization,
      redirect: 'manual',
      signal: options.signal,
    })
    if (head.status === 404 && optional) return false
    if (head.status === 401 || head.status === 403 || head.status === 404)
      throw failed(`the hub answers ${head.status}`, 'check the id; HF_TOKEN opens models that are not public')
    const hash = /^"?([0-9a-f]{64})"?$/.exec(head.headers.get('x-linked-etag') ?? '')?.[1] ?? null
    response = await fetch(url, { headers: { ...authorization, ...range }, signal: options.signal })
    if (!response.ok && response.status !== 416) throw failed(`the hub answers ${response.status}`)
    if (response.status !== 416 && response.body) {
      const resumed = response.status === 206
      const total = Number(response.headers.get('content-length') ?? 0) + (resumed ? have : 0)
      const body = Readable.fromWeb(response.body as never)
      report(body, name, total, resumed ? have : 0, options.say)
      await pipeline(body, createWriteStream(part, { flags: resumed ? 'a' : 'w' }))
    }
    if (hash && (await sha256(part)) !== hash) {
      rmSync(part)
      throw failed('what arrived has another checksum than the hub names', 'try again')
    }
  } catch (error) {
    if (error instanceof UserError) throw error
    throw failed(messageOf(error), 'what has arrived is kept: the same command goes on')
  }
  renameSync(part, target)
  return true
}

/** A line for every tenth of a large file. */
function report(body: Readable, name: string, total: number, from: number, say: (text: string) => void): void {
  if (total < 10e6) return
  let [done, tenth] = [from, Math.floor((10 * from) / total)]
  body.on('data', (chunk: Buffer) => {
    done += chunk.length
    if (Math.floor((10 * done) / total) === tenth) return
    tenth = Math.floor((10 * done) / total)
    say(`${name}: ${Math.round((100 * done) / total)} % of ${(total / 1e6).toFixed(0)} MB`)
  })
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
