import { plural } from '../core/text.ts'
import type { Cell, Context, Out } from './command.ts'
import leaderboardCommand from './leaderboard.ts'
import { runSession, type SessionData, type SessionRequest } from './session.ts'

type Board = Awaited<ReturnType<typeof leaderboardCommand.run>>

/** A session with the ranking of its sweep's points, where any of them has been evaluated. */
export type SessionReport = SessionData & { leaderboard: Board | null }

/** Runs a session and adds the leaderboard of its points: mean ± std over seeds, beside chance, the majority class and the untrained model. */
export async function runAndRank(request: SessionRequest, context: Context): Promise<SessionReport> {
  const session = await runSession(request, context)
  if (session.result === null || session.result.detached) return { ...session, leaderboard: null }
  const board = await leaderboardCommand.run(
    { metric: 'mIoU', runs: session.result.runs },
    { ...context, say: () => {}, setExit: () => {} }, // that nothing has been evaluated yet is no error here
  )
  return { ...session, leaderboard: board }
}

export function printSession({ points, result, question, leaderboard }: SessionReport, out: Out): void {
  if (result === null) {
    out.table({
      title: question,
      columns: [
        { name: 'point', weight: 9 },
        { name: 'action', weight: 8 },
        { name: 'steps', align: 'right', weight: 4 },
        { name: 'why', weight: 7 },
        { name: 'config', weight: 1 },
      ],
      rows: points.map((point): Cell[] => [point.key, point.action, point.totalSteps, point.reason, point.configHash]),
    })
    const work = points.filter(({ action }) => action !== 'skip').length
    out.say(`${plural(points.length, 'point')}, ${work} to train`)
    return
  }
  if (leaderboard && leaderboard.groups.length > 0) {
    out.line()
    out.line(out.bold(question))
    leaderboardCommand.print?.(leaderboard, out)
  }
}
