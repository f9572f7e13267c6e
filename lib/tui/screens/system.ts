import { printable } from '../../core/text.ts'
import { formatBytes, formatRate, formatShare, pad, textWidth } from '../format.ts'
import { EMPTY, type Line, line, span, type Tone, truncateLine } from '../lines.ts'
import { isLive, type Row, rateOf } from '../pace.ts'
import type { RunState } from '../reducer.ts'
import { type Column, tableLines } from '../table.ts'
import { bar } from './board.ts'
import { padTo } from './charts.ts'
import type { Scene } from './scene.ts'

const usedOf = ({ used, total }: { used: number; total: number }): string[] => [
  `${formatBytes(used)} of ${formatBytes(total)}`,
  `${formatBytes(total - used)} free`,
]

/** The machine and the workers on it. */
export function systemLines({ system, rows, width, height }: Scene): Line[] {
  if (system === null) return [EMPTY, line(span('reading the machine …', 'dim'))]
  const { cores, load, memory, disk, gpus } = system
  const barWidth = Math.max(8, Math.min(30, width - 42))
  /** With the longest of the texts that fits. */
  const gauge = (name: string, share: number, ...texts: string[]): Line => {
    const room = width - 9 - (Number.isNaN(share) ? 0 : barWidth + 8)
    const text = texts.find((candidate) => textWidth(candidate) <= room) ?? texts.at(-1) ?? ''
    if (Number.isNaN(share)) return truncateLine(line(span(pad(name, 9), 'title'), span(text, 'dim')), width)
    const tone: Tone = share > 0.95 ? 'bad' : share > 0.8 ? 'warn' : 'good'
    return truncateLine(
      line(
        span(pad(name, 9), 'title'),
        span(bar(share, barWidth), tone),
        ` ${pad(formatShare(share), 5, 'right')}  `,
        span(text, 'dim'),
      ),
      width,
    )
  }
  const mean = cores.reduce((a, b) => a + b, 0) / Math.max(1, cores.length)
  const gauges = [
    gauge(
      'CPU',
      mean,
      `${cores.length} cores · load ${load.map((l) => l.toFixed(1)).join(' ')}`,
      `load ${load[0].toFixed(1)}`,
    ),
    ...(cores.length <= 8 && height > 16 ? cores.map((core, i) => gauge(`  core ${i}`, core)) : []),
    gauge('memory', memory.used / memory.total, ...usedOf(memory)),
    ...(disk === null
      ? []
      : [
          gauge(
            'disk',
            1 - disk.free / disk.total,
            `${formatBytes(disk.free)} free at ${printable(disk.path)}`,
            `${formatBytes(disk.free)} free`,
          ),
        ]),
    ...gpus.flatMap(({ index, name, busy, memory: own, celsius, watts }) => {
      const facts = [
        printable(name),
        celsius === null ? '' : `${celsius} °C`,
        watts === null ? '' : `${watts.toFixed(0)} W`,
      ]
      const known = facts.filter(Boolean)
      const texts = known.map((_, i) => known.slice(i).join(' · ')) // the name goes first
      const used = own && gauge('  memory', own.used / own.total, ...usedOf(own))
      return [gauge(`GPU ${index}`, busy ?? Number.NaN, ...texts), ...(used ? [used] : [])]
    }),
  ]
  const live = rows.filter((row): row is Row & { run: RunState } => row.run !== null && isLive(row.status))
  if (live.length === 0) return padTo([...gauges, EMPTY, line(span('no run is running', 'dim'))], height)
  const process = (row: { run: RunState }) => system.processes.find((p) => p.pid === row.run.pid)
  const columns: Column<Row & { run: RunState }>[] = [
    { title: 'run', priority: 0, cell: ({ run }) => ({ text: run.name }) },
    { title: 'point', priority: 3, flexible: 10, cell: ({ label }) => ({ text: printable(label) }) },
    { title: 'pid', priority: 2, align: 'right', cell: ({ run }) => ({ text: String(run.pid) }) },
    { title: 'cores', priority: 0, align: 'right', cell: (row) => ({ text: process(row)?.cpu.toFixed(1) ?? '–' }) },
    {
      title: 'memory',
      priority: 0,
      align: 'right',
      cell: (row) => ({ text: process(row) === undefined ? '–' : formatBytes(process(row)?.memory ?? 0) }),
    },
    { title: 'speed', priority: 1, align: 'right', cell: ({ run }) => ({ text: formatRate(rateOf(run)) }) },
    {
      title: 'where',
      priority: 4,
      flexible: 12,
      cell: ({ run }) => ({ text: printable(`${run.where} · ${run.host}`), tone: 'dim' }),
    },
  ]
  return padTo([...gauges, EMPTY, ...tableLines(live, columns, width)], height)
}
