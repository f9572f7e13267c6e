import { writeSync } from 'node:fs'
import { ingestRun } from '../../lib/store/ingest.ts'
import { openStore } from '../../lib/store/open.ts'

// The victim of the kill test: ingests in small batches and says so before each.
const [home, dir] = process.argv.slice(2)
const store = openStore(home)
do writeSync(1, '.')
while (ingestRun(store, dir, { maxBytes: 4000 }).more)
