import { EXIT, messageOf, UserError } from '../core/errors.ts'
import { query } from '../store/upkeep.ts'

/** The process in which `gvx sql` lets SQLite work, because from outside it can be killed. Arguments: home, rows, SQL. */
const [home, maxRows, text] = process.argv.slice(2)
const answer = (message: unknown) => process.send!(message, undefined, undefined, () => process.disconnect())
try {
  answer({ result: query(home, text, Number(maxRows)) })
} catch (error) {
  const known = error instanceof UserError
  answer({
    message: messageOf(error),
    hint: known ? error.hint : undefined,
    exitCode: known ? error.exitCode : EXIT.unexpected,
  })
}
