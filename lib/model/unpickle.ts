import { UserError } from '../core/errors.ts'
import { printable } from '../core/text.ts'

/**
 * A pickle reader that cannot do anything: it knows lists, tuples, dictionaries, scalars and the few names that a torch
 * checkpoint needs to describe its tensors. Configurations and metrics that training code keeps beside the weights are
 * passed over: a note of their name stands in their place. Every other name is refused. Nothing is ever called.
 */

/** A tensor as the pickle describes it: a window on a storage. */
export type PickledTensor = { storage: PickledStorage; offset: number; shape: number[]; stride: number[] }
/** Numbers in a file of the archive. */
type PickledStorage = { dtype: string; key: string }

export type Pickled = null | boolean | number | bigint | string | Pickled[] | Map<Pickled, Pickled> | Special
type Special =
  | { kind: 'global'; name: string }
  | ({ kind: 'storage' } & PickledStorage)
  | ({ kind: 'tensor' } & PickledTensor)
  /** An object that was not made, by the name of its class. */
  | { kind: 'unmade'; name: string }

const STORAGES: Record<string, string> = {
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  DoubleStorage: 'F64',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
}
const REBUILD = ['torch._utils._rebuild_tensor_v2', 'torch._utils._rebuild_parameter']
const ALLOWED = new Set([
  'collections.OrderedDict',
  ...REBUILD,
  ...Object.keys(STORAGES).map((name) => `torch.${name}`),
])

/**
 * Classes of what stands beside the weights in checkpoints of research code: configurations, sets, numpy's numbers,
 * paths. Only their names are ever looked at.
 */
const UNMADE = [
  /^(?:omegaconf|yacs|addict|mmcv|mmengine|easydict|ml_collections)\./,
  /^(?:argparse\.Namespace|collections\.defaultdict|typing\.\w+|pathlib\.\w+|_codecs\.encode)$/,
  // protocol 2, torch's, writes Python 3's int and str by their names in Python 2
  /^(?:__builtin__|builtins)\.(?:dict|list|tuple|set|frozenset|str|unicode|int|long|float|bool|bytes|complex)$/,
  /^numpy\.(?:dtype|ndarray|_?core\.multiarray\.(?:scalar|_reconstruct))$/,
  /^torch\.(?:Size|device|(?:u?int|b?float)\d+)$/,
]

const MARK = Symbol('mark')
type Slot = Pickled | typeof MARK

/** The object of a pickle of protocol 2 to 4. Throws a UserError that says what is not allowed or not sound. */
export function unpickle(bytes: Uint8Array, source: string): Pickled {
  const refuse = (why: string): never => {
    throw new UserError(`${printable(source)} is no checkpoint that can be read safely: ${why}.`, {
      hint: howToSaveAgain(source),
    })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stack: Slot[] = []
  const memo = new Map<number, Pickled>()
  let at = 0

  const take = (n: number): number => {
    const from = at
    at += n
    if (n < 0 || at > bytes.length) refuse('it ends in the middle of a value')
    return from
  }
  const byte = () => bytes[take(1)]
  const word = () => view.getUint32(take(4), true)
  const text = (n: number) => new TextDecoder().decode(bytes.subarray(take(n), at))
  const line = () => {
    const end = bytes.indexOf(0x0a, at)
    if (end < 0 || end - at > 1000) refuse('a name has no end')
    const out = text(end - at)
    at = end + 1
    return out
  }
  const pop = (): Pickled => {
    const top = stack.pop()
    if (top === undefined || top === MARK) return refuse('its stack runs empty')
    return top
  }
  const top = (): Pickled => {
    const found = stack.at(-1)
    if (found === undefined || found === MARK) return refuse('its stack runs empty')
    return found
  }
  const popToMark = (): Pickled[] => {
    const from = stack.lastIndexOf(MARK)
    if (from < 0) return refuse('a list has no beginning')
    const items = stack.splice(from).slice(1)
    return items as Pickled[]
  }
  const global = (module: string, name: string): Special => {
    const full = `${module}.${name}`
    if (ALLOWED.has(full)) return { kind: 'global', name: full }
    if (UNMADE.some((known) => known.test(full))) return { kind: 'unmade', name: full }
    return refuse(`it wants ${printable(full.slice(0, 100))}`)
  }
  const setItems = (target: Pickled, items: Pickled[]) => {
    if (isSpecial(target, 'unmade')) return
    if (!(target instanceof Map)) return refuse('it sets items of something that is no dictionary')
    for (let i = 0; i + 1 < items.length; i += 2) target.set(items[i], items[i + 1])
  }
  const append = (target: Pickled, items: Pickled[]) => {
    if (isSpecial(target, 'unmade')) return
    if (!Array.isArray(target)) return refuse('it appends to something that is no list')
    for (const item of items) target.push(item)
  }
  const remember = (key: number) => {
    memo.set(key, top())
  }
  const recall = (key: number) => {
    const found = memo.get(key)
    if (found === undefined) refuse('it recalls what it never remembered')
    stack.push(found as Pickled)
  }

  for (;;) {
    const op = byte()
    switch (String.fromCharCode(op)) {
      case '\x80':
        if (byte() > 5) refuse('its protocol is unknown')
        break
      case '\x95':
        take(8)
        break
      case '.':
        return pop()
      case '(':
        stack.push(MARK)
        break
      case 'N':
        stack.push(null)
        break
      case '\x88':
        stack.push(true)
        break
      case '\x89':
        stack.push(false)
        break
      case 'J':
        stack.push(view.getInt32(take(4), true))
        break
      case 'K':
        stack.push(byte())
        break
      case 'M':
        stack.push(view.getUint16(take(2), true))
        break
      case '\x8a':
        stack.push(longOf(bytes.subarray(take(byte()), at)))
        break
      case 'G':
        stack.push(view.getFloat64(take(8), false))
        break
      case 'X':
        stack.push(text(word()))
        break
      case '\x8c':
        stack.push(text(byte()))
        break
      case '}':
        stack.push(new Map())
        break
      case ']':
      case ')':
        stack.push([])
        break
      case 't':
      case 'l':
        stack.push(popToMark())
        break
      case '\x85':
        stack.push([pop()])
        break
      case '\x86': {
        const b = pop()
        stack.push([pop(), b])
        break
      }
      case '\x87': {
        const c = pop()
        const b = pop()
        stack.push([pop(), b, c])
        break
      }
      case 's': {
        const value = pop()
        const key = pop()
        setItems(top(), [key, value])
        break
      }
      case 'u': {
        const items = popToMark()
        setItems(top(), items)
        break
      }
      case 'a': {
        const item = pop()
        append(top(), [item])
        break
      }
      case 'e': {
        const items = popToMark()
        append(top(), items)
        break
      }
      case 'q':
        remember(byte())
        break
      case 'r':
        remember(word())
        break
      case '\x94':
        remember(memo.size)
        break
      case 'h':
        recall(byte())
        break
      case 'j':
        recall(word())
        break
      case 'c': {
        const module = line()
        stack.push(global(module, line()))
        break
      }
      case '\x93': {
        const name = pop()
        stack.push(global(String(pop()), String(name)))
        break
      }
      case 'Q':
        stack.push(storageOf(pop()) ?? refuse('it refers to something that is no storage'))
        break
      case 'R':
      case '\x81': {
        const args = pop()
        const callee = pop()
        stack.push(isSpecial(callee, 'unmade') ? callee : (rebuild(callee, args) ?? refuse('it calls something')))
        break
      }
      case 'b':
        // The state of an ordered dictionary is its version notes (_metadata).
        pop()
        if (!(top() instanceof Map) && !isSpecial(top(), 'unmade')) refuse('it sets the state of an object')
        break
      default:
        refuse(`it uses opcode ${op}`)
    }
  }
}

/** What a person can do where a checkpoint holds more than weights. */
export const howToSaveAgain = (source: string): string =>
  `only tensors, numbers, text, lists and dictionaries are read. If you trust the file, keep nothing but its weights, in Python:
    c = torch.load(${JSON.stringify(printable(source))}, map_location="cpu", weights_only=False)
    torch.save({"model": c.get("model", c)}, "weights.pth")`

/** A little-endian two's complement number of any length. */
function longOf(bytes: Uint8Array): number | bigint {
  let value = 0n
  for (const [i, b] of bytes.entries()) value |= BigInt(b) << BigInt(8 * i)
  const signed = BigInt.asIntN(8 * bytes.length, value)
  return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed
}

export const isSpecial = <K extends Special['kind']>(value: Pickled, kind: K): value is Extract<Special, { kind: K }> =>
  value !== null && typeof value === 'object' && 'kind' in value && value.kind === kind

/** ('storage', torch.FloatStorage, '0', 'cpu', 100) */
function storageOf(id: Pickled): Special | null {
  if (!Array.isArray(id) || id[0] !== 'storage' || !isSpecial(id[1], 'global') || typeof id[2] !== 'string') return null
  const dtype = STORAGES[id[1].name.replace('torch.', '')]
  return dtype === undefined ? null : { kind: 'storage', dtype, key: id[2] }
}

const isCounts = (value: Pickled): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && (n as number) >= 0)

function rebuild(callee: Pickled, args: Pickled): Pickled {
  if (!isSpecial(callee, 'global') || !Array.isArray(args)) return null
  switch (callee.name) {
    case 'collections.OrderedDict':
      return args.length === 0 ? new Map() : null
    case REBUILD[0]: {
      const [storage, offset, shape, stride] = args
      if (!isSpecial(storage, 'storage') || !isCounts([offset]) || !isCounts(shape) || !isCounts(stride)) return null
      if (shape.length !== stride.length) return null
      const { dtype, key } = storage
      return { kind: 'tensor', storage: { dtype, key }, offset: offset as number, shape, stride }
    }
    case REBUILD[1]:
      return isSpecial(args[0], 'tensor') ? args[0] : null
    default:
      return null
  }
}
