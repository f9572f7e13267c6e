import { messageOf, UserError } from '../core/errors.ts'
import { type BackendName, openBackend } from '../tensor/open.ts'

/** The process in which `gvx doctor` opens one backend: a driver or a binary that crashes takes only this process with it. */
const answer = (message: unknown) => process.send!(message, undefined, undefined, () => process.exit(0))
try {
  const { name, device, threads, notes } = await openBackend({ backend: process.argv[2] as BackendName, threads: 0 })
  answer({ works: true, text: `${device}, ${threads} thread${threads === 1 ? '' : 's'}`, name, notes })
} catch (error) {
  answer({ works: false, text: messageOf(error), hint: error instanceof UserError ? error.hint : undefined })
}
