/** What can be wrong with a sample or a shard; counted by kind, named once, skipped. */
export type FaultKind =
  | 'corrupt-image'
  | 'image-bomb'
  | 'empty-caption'
  | 'bad-json'
  | 'missing-partner'
  | 'duplicate-member'
  | 'oversized-member'
  | 'unsafe-name'
  | 'truncated-tar'
  | 'bad-checksum'
  | 'decompression-bomb'
  | 'unreadable-shard'

export type Fault = {
  kind: FaultKind
  /** The shard's path. */
  shard: string
  /** The sample's key, or null where the shard itself is at fault. Untrusted: print it by `printable`. */
  key: string | null
  message: string
}

/** Thrown by the readers of samples; whoever draws samples counts it and goes on. */
export class SampleError extends Error {
  readonly kind: FaultKind

  constructor(kind: FaultKind, message: string) {
    super(message)
    this.name = 'SampleError'
    this.kind = kind
  }
}
