import { join } from 'node:path'

/** What the local launcher runs in place of `gvx worker`. */
export const FAKE_WORKER = [process.execPath, '--import', 'tsx', join(import.meta.dirname, 'fake-worker.ts')]
