import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { UserError } from '../../lib/core/errors.ts'
import { expandBraces, expandShards } from '../../lib/data/shard-paths.ts'
import { temporary } from './build.ts'

describe('shard patterns', () => {
  it('expand braces as webdataset does', () => {
    expect(expandBraces('cc-{000..002}.tar')).toEqual(['cc-000.tar', 'cc-001.tar', 'cc-002.tar'])
    expect(expandBraces('{a,b{8..10}}.tar')).toEqual(['a.tar', 'b8.tar', 'b9.tar', 'b10.tar'])
    expect(expandBraces('plain.tar')).toEqual(['plain.tar'])
  })

  it('match *, ? and [] in any part, folders, and each file once', () => {
    const dir = temporary()
    for (const file of ['a/x-0.tar', 'a/x-1.tar.gz', 'b/x-2.tar.zst', 'b/notes.txt']) {
      mkdirSync(path.dirname(path.join(dir, file)), { recursive: true })
      writeFileSync(path.join(dir, file), '')
    }
    const found = (pattern: string) => expandShards(path.join(dir, pattern)).map((file) => path.relative(dir, file))
    expect(found('*/x-?.tar*')).toEqual(['a/x-0.tar', 'a/x-1.tar.gz', 'b/x-2.tar.zst'])
    expect(found('[ab]/x-[01].*')).toEqual(['a/x-0.tar', 'a/x-1.tar.gz'])
    expect(found('b')).toEqual(['b/x-2.tar.zst'])
    expect(found('a/x-{0..5}.tar')).toEqual(['a/x-0.tar'])
    expect(found('{a,a}/x-0.tar')).toEqual(['a/x-0.tar'])
  })

  it('that match nothing are an error with a next step', () => {
    const pattern = path.join(temporary(), '*.tar')
    expect(() => expandShards(pattern)).toThrow(UserError)
    expect(() => expandShards(pattern)).toThrow(`No shard matches "${pattern}"`)
    expect(() => expandShards('x-{0..99999999}.tar')).toThrow('more than a million')
  })
})
