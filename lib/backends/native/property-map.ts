/**
 * A WeakMap that keeps its values in the keys. tfjs holds the data of every tensor in WeakMaps, and a collection of
 * garbage goes through those tables entry by entry: in a training step of a small model that took a tenth of the time.
 * What the map it replaces already holds stays reachable.
 */
export class PropertyMap<K extends object, V> {
  private readonly property = Symbol('value')
  private readonly before: WeakMap<K, V>

  constructor(before: WeakMap<K, V>) {
    this.before = before
  }

  get(key: K): V | undefined {
    return this.own(key) ?? this.before.get(key)
  }

  has(key: K): boolean {
    return this.own(key) !== undefined || this.before.has(key)
  }

  set(key: K, value: V): this {
    ;(key as Record<symbol, V>)[this.property] = value
    return this
  }

  delete(key: K): boolean {
    if (this.own(key) === undefined) return this.before.delete(key)
    ;(key as Record<symbol, V | undefined>)[this.property] = undefined
    return true
  }

  private own(key: K): V | undefined {
    return (key as Record<symbol, V | undefined>)[this.property]
  }
}
