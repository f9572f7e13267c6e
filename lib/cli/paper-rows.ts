import type { LeaderboardRow } from '../store/leaderboard.ts'

/** PASCAL VOC mIoU of the paper in percent (arXiv 2202.11094): another scale of data and model, shown beside ours and never ranked. */
const VOC: readonly [name: string, mIoU: number][] = [
  ['paper Table 3: two stages, CC12M+YFCC', 52.3],
  ['paper Table 3: two stages, CC12M', 41.1],
  ['paper Table 3: one stage, CC12M', 39.3],
  ['paper Table 3: one stage, CC12M+YFCC', 37.2],
  ['paper Table 1: hard + multi-label', 39.3],
  ['paper Table 1: hard', 36.7],
  ['paper Table 1: soft + multi-label', 25.1],
  ['paper Table 1: soft', 12.0],
  ['paper Table 2: 16/4 tokens', 28.6],
  ['paper Table 2: 16/8 tokens', 37.1],
  ['paper Table 2: 32/8 tokens', 38.3],
  ['paper Table 2: 64/8 tokens', 39.3],
  ['paper Table 2: 64/16 tokens', 38.0],
]

export function paperRows(dataset: string, metric: string): LeaderboardRow[] {
  if (dataset !== 'voc' || metric !== 'mIoU') return []
  return VOC.map(([name, mIoU]) => ({
    rank: null,
    name,
    kind: 'reference',
    configHash: null,
    mean: mIoU / 100,
    std: null,
    n: 1,
    values: [mIoU / 100],
    runs: [],
    bestStep: null,
    delta: null,
    versusBest: null,
    commits: [],
  }))
}
