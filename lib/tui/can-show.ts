/** Whether there is a terminal for the live screen: asked before Ink is imported, whose input throws without one. */

type Terminal = { isTTY?: boolean | undefined }

export function canShowScreen(stdout: Terminal, stdin: Terminal, env: NodeJS.ProcessEnv): boolean {
  if (!stdout.isTTY || !stdin.isTTY) return false
  // a screen that redraws itself cannot be read aloud; Ink's variable is honoured so that one setting does for all
  if (env.INK_SCREEN_READER === 'true' || env.GVX_SCREEN_READER === '1') return false
  return env.TERM !== 'dumb'
}

/** https://no-color.org: any value but the empty one. */
export const wantsColour = (env: NodeJS.ProcessEnv): boolean => !env.NO_COLOR && env.FORCE_COLOR !== '0'
