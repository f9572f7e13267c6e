/**
 * What a command may exit with. The table in README.md is tested against this one.
 */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  failedRuns: 3,
  nothingFound: 4,
  assertionFalse: 5,
  environment: 6,
  database: 7,
  preempted: 75,
  interrupted: 130,
  terminated: 143,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/**
 * Something the user can mend: one sentence that says what is wrong and where, and a hint that says what to do next.
 * Everything else that is thrown is a bug of ours and stays loud.
 */
export class UserError extends Error {
  readonly hint: string | undefined
  readonly exitCode: ExitCode

  constructor(message: string, options: { hint?: string; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'UserError'
    this.hint = options.hint
    this.exitCode = options.exitCode ?? EXIT.usage
  }
}

/** The message of anything that was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
