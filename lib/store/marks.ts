import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { replaceFile } from '../run/disk.ts'
import { runsFolder } from '../run/folder.ts'
import type { Store } from './open.ts'

/**
 * What people say of a run. It lives in the run folder (`marks.json`), as everything true does: a database that is rebuilt from the
 * folders loses no tag.
 */
export type Marks = { tags: string[]; notes: { t: number; text: string }[]; removed: number | null }

export function readMarks(runDir: string): Marks {
  try {
    const { tags = [], notes = [], removed = null } = JSON.parse(readFileSync(join(runDir, 'marks.json'), 'utf8'))
    return { tags, notes, removed }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || error instanceof SyntaxError) return { tags: [], notes: [], removed: null }
    throw error
  }
}

export const tagRun = (store: Store, run: number, tag: string): void =>
  change(store, run, (marks) => ({ ...marks, tags: [...new Set([...marks.tags, tag])].sort() }))

export const untagRun = (store: Store, run: number, tag: string): void =>
  change(store, run, (marks) => ({ ...marks, tags: marks.tags.filter((known) => known !== tag) }))

export const noteRun = (store: Store, run: number, text: string, now: number): void =>
  change(store, run, (marks) => ({ ...marks, notes: [...marks.notes, { t: now, text }] }))

/** Takes a run out of every list, or brings it back; nothing is deleted. */
export const removeRun = (store: Store, run: number, now: number): void =>
  change(store, run, (marks) => ({ ...marks, removed: now }))

export const restoreRun = (store: Store, run: number): void =>
  change(store, run, (marks) => ({ ...marks, removed: null }))

/** The lock of the database keeps two processes from losing each other's mark. */
function change(store: Store, run: number, next: (marks: Marks) => Marks): void {
  const dir = join(runsFolder(store.home), `run${run}`)
  store.db
    .transaction(() => {
      const marks = next(readMarks(dir))
      replaceFile(join(dir, 'marks.json'), `${JSON.stringify(marks)}\n`)
      store.sql('DELETE FROM tags WHERE run = ?').run(run)
      store.sql('DELETE FROM notes WHERE run = ?').run(run)
      for (const tag of marks.tags) store.sql('INSERT INTO tags (run, tag) VALUES (?, ?)').run(run, tag)
      for (const note of marks.notes)
        store
          .sql('INSERT INTO notes (run, t, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
          .run(run, note.t, note.text)
      store.sql('UPDATE runs SET removed = ? WHERE id = ?').run(marks.removed, run)
    })
    .immediate()
}
