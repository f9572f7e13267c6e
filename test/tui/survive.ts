import { spawnSync } from 'node:child_process'
import { repairTerminal } from '../../lib/tui/terminal.ts'

/** Shows the screen in a child that is killed with -9 from within, then does what the next `gvx` does at its start. */
const child = spawnSync(
  process.execPath,
  ['--import', 'tsx', new URL('./show.tsx', import.meta.url).pathname, '--kill'],
  {
    stdio: 'inherit',
  },
)
process.stderr.write(`${child.signal} ${repairTerminal(process.stdout) ? 'repaired' : 'nothing to repair'}\n`)
