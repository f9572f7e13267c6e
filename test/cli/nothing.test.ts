import { afterAll, describe, expect, test } from 'vitest'
import type { AnyCommand, Context } from '../../lib/cli/command.ts'
import { COMMANDS, nameOf } from '../../lib/cli/commands.ts'
import { printData } from '../../lib/cli/print.ts'
import { emptyHome, stagesHome } from '../store/home.ts'
import { readingContext } from './context.ts'

/** Commands that read, where there is nothing to read: rows that a program would take for data must not come out. */

const { context: empty } = readingContext(emptyHome(afterAll))
const { context: full } = readingContext(stagesHome(afterAll))

async function printed(context: Context, name: string, args: object, format: 'csv' | 'md' | 'tex'): Promise<string[]> {
  const { default: command } = (await COMMANDS.find((entry) => nameOf(entry) === name)!.load()) as {
    default: AnyCommand
  }
  let text = ''
  const data = await command.run({ ...args, [format]: true } as never, context)
  printData(command, data, format, {
    write: (more) => {
      text += more
    },
    say: () => {},
    width: 80,
    color: false,
  })
  return text.trimEnd().split('\n')
}

describe.each([
  ['runs', empty, { limit: 50 }, 'run,label,'],
  ['runs', full, { limit: 50, where: 'status = failed' }, 'run,label,'],
  ['leaderboard', empty, { metric: 'mIoU' }, 'rank,name,mIoU,std,n,'],
  ['leaderboard', full, { metric: 'mIoU', dataset: 'nothing' }, 'rank,name,mIoU,std,n,'],
  ['leaderboard', empty, { metric: 'acc1' }, 'rank,name,acc1,std,n,'],
  ['logs', full, { run: 'run1', grep: 'no such line' }, 't,level,text'],
  ['note', full, { run: 'run1' }, 'run,t,text'],
] as const)('gvx %s (%#) without anything to list', { timeout: 120_000 }, (name, context, args, head) => {
  test('is a header as comma-separated values, Markdown and LaTeX', async () => {
    const csv = await printed(context, name, args, 'csv')
    expect(csv).toHaveLength(1)
    expect(csv[0].startsWith(head)).toBe(true)
    const columns = csv[0].split(',').length
    const md = await printed(context, name, args, 'md')
    expect(md).toHaveLength(2)
    expect(md[1]).toMatch(/^\|[ |:-]+\|$/)
    const tex = await printed(context, name, args, 'tex')
    expect(tex.slice(-3)).toEqual(['\\midrule', '\\bottomrule', '\\end{tabular}'])
    expect(columns).toBeGreaterThan(2)
  })
})

describe('gvx leaderboard', () => {
  const said = async (context: Context, args: object) => {
    const lines: string[] = []
    const { default: command } = (await COMMANDS.find((entry) => nameOf(entry) === 'leaderboard')!.load()) as {
      default: AnyCommand
    }
    await command.run({ metric: 'mIoU', ...args } as never, { ...context, say: (text) => void lines.push(text) })
    return lines
  }

  test('says whether nothing is there or nothing was asked for that is there', async () => {
    expect((await said(empty, {}))[0]).toMatch(/^no run has a final evaluation yet/)
    expect((await said(empty, { sweep: 'stages' }))[0]).toMatch(/^no run has a final evaluation yet/)
    expect((await said(full, { sweep: 'nowhere' }))[0]).toMatch(/^no final evaluation of the sweep nowhere: .* on voc/)
    expect((await said(full, { dataset: 'none' }))[0]).toMatch(/^no final evaluation on the dataset none: /)
    expect(await said(full, {})).toEqual([])
  })
})
